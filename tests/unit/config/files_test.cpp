// Files: what cannot be read, who may read keys, peers in files of their own, files being written.
#include <fcntl.h>
#include <unistd.h>

#include <thread>

#include "config/read_file.h"
#include "tests/unit/config/support.h"

namespace wg::config {
namespace {

using namespace std::chrono_literals;

constexpr const char* kKeyText = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n";

std::string problems_of(const std::string& path) {
  return to_string(problems_of(parse_file(path)));
}

TEST(Files, ThatAreNotThere) {
  const TempDirectory dir;
  EXPECT_EQ(problems_of(dir / "gw.yaml"), dir / "gw.yaml: cannot be read: No such file or directory\n");
}

TEST(Files, ThatAreNoFiles) {
  const TempDirectory dir;
  std::filesystem::create_directory(dir / "gw.yaml");
  EXPECT_EQ(problems_of(dir / "gw.yaml"), dir / "gw.yaml: is not a regular file\n");
  ASSERT_EQ(::mkfifo((dir / "fifo").c_str(), 0600), 0);
  EXPECT_EQ(problems_of(dir / "fifo"), dir / "fifo: is not a regular file\n");
}

TEST(Files, ThatMayNotBeRead) {
  if (::geteuid() == 0) GTEST_SKIP() << "root reads every file";
  const TempDirectory dir;
  const auto path = dir.write("gw.yaml", "ports: {}\n", 0200);
  EXPECT_EQ(problems_of(path), path + ": cannot be read: Permission denied\n");
}

TEST(Files, ThatAreTooLargeAreNotRead) {
  const TempDirectory dir;
  const auto path = dir.write("gw.yaml", "");
  ASSERT_EQ(::truncate(path.c_str(), static_cast<off_t>(kMaxFileBytes) + 1), 0);  // sparse
  EXPECT_EQ(problems_of(path), path + ": is too large: 67108865 bytes; allowed are at most 67108864\n");
}

TEST(Files, WithANulByte) {
  const auto result = parse_text(std::string("ports: \0\n", 9), "gw.yaml");
  EXPECT_EQ(to_string(problems_of(result)),
            "gw.yaml:1:8: a control character (0); allowed is printable text\n");
}

// ---------------------------------------------------------------- key files

std::string with_key_file(const std::string& file) {
  return "interfaces:\n  wg0:\n    private_key_file: " + file + "\n";
}

TEST(KeyFiles, AreFoundBesideTheConfiguration) {
  const TempDirectory dir;
  dir.write("keys/wg0.key", kKeyText);
  const auto result = parse_file(dir.write("gw.yaml", with_key_file("keys/wg0.key")));
  ASSERT_TRUE(result) << to_string(problems_of(result));
  const Interface& wg0 = result->interfaces.at("wg0");
  EXPECT_TRUE(wg0.private_key == secret_key(0x01010101));
  EXPECT_EQ(wg0.private_key_file, "keys/wg0.key");
}

TEST(KeyFiles, ThatOthersCanReadAreRefused) {
  const TempDirectory dir;
  const auto path = dir.write("gw.yaml", with_key_file("wg0.key"));
  for (const auto& [mode, octal] : std::vector<std::pair<mode_t, std::string>>{
           {0644, "0644"}, {0640, "0640"}, {0604, "0604"}, {0660, "0660"}, {0601, "0601"}, {0777, "0777"}}) {
    const auto key = dir.write("wg0.key", kKeyText, mode);
    const std::string shown = key.size() > 60 ? key.substr(0, 60) + "…" : key;
    EXPECT_EQ(problems_of(path), path + ":3:23: interfaces.wg0.private_key_file: file '" + shown +
                                     "' is open to its group or to others (mode " + octal +
                                     "); allowed: 0600 or 0400 (chmod 600)\n");
  }
  for (const mode_t mode : {0600, 0400}) {
    dir.write("wg0.key", kKeyText, mode);
    EXPECT_EQ(problems_of(path), "");
    ::chmod((dir / "wg0.key").c_str(), 0600);
  }
}

TEST(KeyFiles, WithoutAKeyDoNotLeakTheirContent) {
  const TempDirectory dir;
  const auto path = dir.write("gw.yaml", with_key_file("wg0.key"));
  dir.write("wg0.key", "swordfish\n");
  const auto told = problems_of(path);
  EXPECT_NE(told.find("is not a key (9 characters)"), std::string::npos) << told;
  EXPECT_EQ(told.find("swordfish"), std::string::npos) << told;
  dir.write("wg0.key", std::string(5000, 'A'));
  EXPECT_NE(problems_of(path).find("is too large: 5000 bytes; allowed are at most 4096"), std::string::npos);
  std::filesystem::remove(dir / "wg0.key");
  EXPECT_NE(problems_of(path).find("cannot be read: No such file or directory"), std::string::npos);
}

// ---------------------------------------------------------------- peer files

constexpr const char* kWithPeerFiles = R"(
interfaces:
  wg0:
    peer_files: ["peers.d/*.yaml"]
    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=
    peers:
      - { name: own, public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI= }
)";

TEST(PeerFiles, FollowThePeersOfTheFileInOrderOfName) {
  const TempDirectory dir;
  dir.write("peers.d/b.yaml", "- { name: bob, public_key: BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ= }\n");
  dir.write("peers.d/a.yaml",
            "peers:\n  - name: alice\n    public_key: AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\n");
  dir.write("peers.d/c.yaml", "# nobody yet\n");
  dir.write("peers.d/ignored.txt", "- nonsense\n");
  const auto result = parse_file(dir.write("gw.yaml", kWithPeerFiles));
  ASSERT_TRUE(result) << to_string(problems_of(result));
  const auto& peers = result->interfaces.at("wg0").peers;
  ASSERT_EQ(peers.size(), 3U);
  EXPECT_EQ(peers[0].name, "own");
  EXPECT_EQ(peers[1].name, "alice");
  EXPECT_EQ(peers[2].name, "bob");
  EXPECT_EQ(cite(*result, peers[1].where.name), dir / "peers.d/a.yaml:2:11");
}

TEST(PeerFiles, ReportErrorsAtTheirOwnPositions) {
  const TempDirectory dir;
  const auto main = dir.write("gw.yaml", kWithPeerFiles);
  const auto a =
      dir.write("peers.d/a.yaml", "- { public_key: AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=, mtu: 1 }\n");
  const auto b = dir.write("peers.d/b.yaml",
                           "- name: own\n  public_key: BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ=\n"
                           "- public_key: AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\n");
  const auto c = dir.write("peers.d/c.yaml", "alice: {}\n");
  const auto d = dir.write("peers.d/d.yaml", "- [\n");
  EXPECT_EQ(problems_of(main),
            a +
                ":1:68: interfaces.wg0.peers[0].mtu: '1' is out of range; allowed: auto, or 576 to 9520 "
                "bytes\n" +  //
                b +
                ":1:9: interfaces.wg0.peers[0].name: 'own' is also the name of interfaces.wg0.peers[0] (" +
                main + ":7:17); allowed: one peer per name\n" +  //
                b +
                ":3:15: interfaces.wg0.peers[1].public_key: is also the key of interfaces.wg0.peers[0] (" +
                a + ":1:17); allowed: one peer per key\n" +                          //
                c + ":1:1: interfaces.wg0.alice: unknown key; allowed: peers\n" +    //
                c + ":1:1: interfaces.wg0: the required key 'peers' is missing\n" +  //
                d + ":2:1: YAML: end of sequence flow not found\n");
}

TEST(PeerFiles, NamedExactlyMustExist) {
  const TempDirectory dir;
  std::string text = kWithPeerFiles;
  text.replace(text.find("peers.d/*.yaml"), 14, "peers.yaml");
  EXPECT_EQ(problems_of(dir.write("gw.yaml", text)),
            dir / "peers.yaml: cannot be read: No such file or directory\n");
}

TEST(PeerFiles, NamedByTwoPatternsAreReadOnce) {
  const TempDirectory dir;
  std::string text = kWithPeerFiles;
  text.replace(text.find("[\"peers.d/*.yaml\"]"), 18, "[\"peers.d/*\", \"peers.d/a.yaml\"]");
  dir.write("peers.d/a.yaml", "- public_key: AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\n");
  EXPECT_EQ(problems_of(dir.write("gw.yaml", text)), "");
}

// ---------------------------------------------------------------- files being written

// A lease reveals an open writer on file systems with leases. The test uses the same query.
bool leases_work(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool works = ::fcntl(fd, F_SETLEASE, F_RDLCK) == 0;
  ::close(fd);
  return works;
}

TEST(ReadFile, DoesNotReadAFileThatAWriterHasOpen) {
  const TempDirectory dir;
  const auto path = dir.write("gw.yaml", "ports: {}\n");
  if (!leases_work(path)) GTEST_SKIP() << "no leases on this file system";
  const int writer = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  ASSERT_GE(writer, 0);
  ReadLimits limits;
  limits.patience = 50ms;
  EXPECT_EQ(read_file(path, limits).error(), (Refusal{EBUSY, "is being written"}));
  ::close(writer);
  EXPECT_EQ(read_file(path, limits)->text, "ports: {}\n");
}

TEST(ReadFile, WaitsForAWriterToFinish) {
  const TempDirectory dir;
  const auto path = dir.write("gw.yaml", "half");
  if (!leases_work(path)) GTEST_SKIP() << "no leases on this file system";
  const int writer = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  ASSERT_GE(writer, 0);
  std::thread finish([writer] {
    std::this_thread::sleep_for(60ms);
    EXPECT_EQ(::write(writer, " whole", 6), 6);
    ::close(writer);
  });
  ReadLimits limits;
  limits.patience = 5s;
  EXPECT_EQ(read_file(path, limits)->text, "half whole");
  finish.join();
}

TEST(ReadFile, WaitsUntilAFileHasSettled) {
  const TempDirectory dir;
  const auto path = dir.write("gw.yaml", "fresh");
  ReadLimits limits;
  limits.settle = 150ms;
  limits.patience = 5s;
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(read_file(path, limits)->text, "fresh");
  EXPECT_GE(std::chrono::steady_clock::now() - start, 100ms);
}

// Texts that show whether they are complete, while a writer replaces them continuously.
TEST(ReadFile, SeesOnlyWholeFilesWhenTheyAreRenamedIntoPlace) {
  const TempDirectory dir;
  const auto path = dir.write("gw.yaml", std::string(10, 'a'));
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (unsigned i = 0; !stop; ++i)
      EXPECT_TRUE(replace_file(path, std::string(10 + (i % 50) * 1000, static_cast<char>('a' + i % 26))));
  });
  std::size_t read = 0;
  for (int i = 0; i < 200; ++i) {
    const auto file = read_file(path);
    if (!file) continue;
    ++read;
    EXPECT_EQ(file->text.size() % 1000, 10U);
    EXPECT_EQ(file->text.find_first_not_of(file->text.front()), std::string::npos);
  }
  stop = true;
  writer.join();
  EXPECT_GT(read, 100U);
}

TEST(ReplaceFile, KeepsModeAndLinks) {
  const TempDirectory dir;
  const auto path = dir.write("gw.yaml", "old", 0640);
  std::filesystem::create_symlink("gw.yaml", dir / "link.yaml");
  EXPECT_TRUE(replace_file(dir / "link.yaml", "new"));
  EXPECT_EQ(slurp(path), "new");
  EXPECT_TRUE(std::filesystem::is_symlink(dir / "link.yaml"));
  struct stat state {};
  ASSERT_EQ(::stat(path.c_str(), &state), 0);
  EXPECT_EQ(state.st_mode & 07777, 0640U);
  EXPECT_EQ(replace_file(dir / "none/gw.yaml", "new").error(),
            (Refusal{ENOENT, "cannot be written: No such file or directory"}));
}

}  // namespace
}  // namespace wg::config
