#include "control/cli/capture.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <deque>
#include <memory>
#include <ostream>

#include "control/api/format.h"
#include "control/api/members.h"
#include "control/api/pcapng.h"
#include "control/api/watch_source.h"
#include "control/cli/call.h"
#include "control/cli/options.h"
#include "control/cli/packet_filter.h"

namespace wg::control::cli {
namespace {

using Clock = std::chrono::steady_clock;

std::atomic<bool> interrupted{false};

// SIGINT and SIGTERM end a capture in order, so that the file's last block is there. For this object's life.
class Interruptible {
 public:
  Interruptible() {
    interrupted = false;
    struct sigaction action {};
    action.sa_handler = [](int) { interrupted = true; };
    for (std::size_t i = 0; i < 2; ++i) sigaction(kSignals[i], &action, &before_[i]);
    action.sa_handler = SIG_IGN;  // write() reports a pipe whose reader has gone
    sigaction(SIGPIPE, &action, &before_[2]);
  }
  ~Interruptible() {
    for (std::size_t i = 0; i < 3; ++i) sigaction(kSignals[i], &before_[i], nullptr);
  }
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;

 private:
  static constexpr int kSignals[3] = {SIGINT, SIGTERM, SIGPIPE};
  struct sigaction before_[3]{};
};

// The file that a capture goes to: readable by its owner alone, because it holds what was encrypted.
class CaptureFile {
 public:
  CaptureFile(const std::string& path, std::ostream& standard_output) : path_(path), out_(standard_output) {
    if (path == "-") return;
    fd_ = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd_ < 0) throw CommandFailed(kFailed, path + ": " + std::strerror(errno));
    struct stat found {};
    if (fstat(fd_, &found) == 0 && S_ISREG(found.st_mode) && fchmod(fd_, 0600) != 0)
      throw CommandFailed(kFailed,
                          path + ": it was there, and its mode cannot be made 0600: " + std::strerror(errno));
  }
  ~CaptureFile() {
    if (fd_ >= 0) close(fd_);
  }
  CaptureFile(const CaptureFile&) = delete;
  CaptureFile& operator=(const CaptureFile&) = delete;

  // False: the reader of a pipe has gone.
  bool write(std::string_view bytes) {
    if (fd_ < 0)
      return static_cast<bool>(out_.write(bytes.data(), static_cast<std::streamsize>(bytes.size())).flush());
    while (!bytes.empty()) {
      const auto written = ::write(fd_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0 && errno == EPIPE) return false;
      if (written < 0) throw CommandFailed(kFailed, path_ + ": " + std::strerror(errno));
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return true;
  }

 private:
  const std::string path_;
  std::ostream& out_;
  int fd_ = -1;
};

// Takes the gateway's stream block by block. With a bound for what is kept, blocks of packets wait in memory,
// the oldest make room, and a dropped packet lets all of them go to the file.
class Blocks {
 public:
  Blocks(CaptureFile& file, std::size_t keep) : file_(file), keep_(keep) {}

  bool take(std::string_view bytes) {
    text_ += bytes;
    std::size_t begin = 0;
    bool open = true;
    while (open) {
      const std::string_view rest = std::string_view(text_).substr(begin);
      const auto head = pcapng::first_block(rest);
      if (!head) break;
      open = block(head->type, rest.substr(0, head->length));
      begin += head->length;
    }
    text_.erase(0, begin);
    return open;
  }
  [[nodiscard]] std::uint64_t packets() const { return packets_; }
  [[nodiscard]] std::uint64_t lost() const { return lost_; }
  [[nodiscard]] bool ended() const { return ended_; }
  // When the first packet was dropped that let go what was kept.
  [[nodiscard]] std::optional<Clock::time_point> released_at() const { return released_; }

 private:
  bool block(std::uint32_t type, std::string_view bytes) {
    if (type == pcapng::kStatistics) {
      ended_ = true;
      lost_ = pcapng::statistics_of(bytes).lost;
      return keep_ == 0 || released_ ? file_.write(bytes) : true;
    }
    if (type != pcapng::kPacket) return file_.write(bytes);  // those of the file and its interfaces
    if (keep_ == 0 || released_) {
      ++packets_;
      return file_.write(bytes);
    }
    keep(bytes);
    return pcapng::comment_of(bytes).find("dropped: ") == std::string_view::npos || release();
  }
  void keep(std::string_view bytes) {
    kept_.emplace_back(bytes);
    kept_bytes_ += bytes.size();
    while (kept_bytes_ > keep_ && kept_.size() > 1) {
      kept_bytes_ -= kept_.front().size();
      kept_.pop_front();
    }
  }
  bool release() {
    released_ = Clock::now();
    bool open = true;
    for (const std::string& bytes : kept_) open = open && file_.write(bytes);
    packets_ += kept_.size();
    kept_.clear();
    return open;
  }

  CaptureFile& file_;
  const std::size_t keep_;
  std::string text_;
  std::deque<std::string> kept_;
  std::size_t kept_bytes_ = 0;
  std::uint64_t packets_ = 0, lost_ = 0;
  bool ended_ = false;
  std::optional<Clock::time_point> released_;
};

Json params_of(const CaptureOptions& options) {
  const bool both = options.inner == options.outer;
  Json params = {{"peer", options.peer},           {"interface", options.interface},
                 {"port", options.port},           {"inner", both || options.inner},
                 {"outer", both || options.outer}, {"drops", options.drops},
                 {"reasons", options.reasons},     {"count", options.count},
                 {"ring_mb", options.ring_mb},     {"snap", options.snap == 0 ? 65535 : options.snap}};
  params["seconds"] = options.seconds;
  if (options.with_keys) params["with_keys"] = true;
  add_filter(options.filter, params);
  return params;
}

std::string counted(std::uint64_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

bool is_over(const Blocks& blocks, const CaptureOptions& options) {
  if (interrupted) return true;
  const auto released = blocks.released_at();
  return released && Clock::now() - *released >= std::chrono::seconds(options.after);
}

}  // namespace

void capture(const CaptureOptions& options, Invocation& invocation) {
  constexpr std::chrono::milliseconds kLook{100};
  const Interruptible interruptible;
  RpcClient gateway(invocation.socket, Access::kAdmin);
  const Json params = params_of(options);
  CaptureFile file(options.file, invocation.terminal.out);
  Blocks blocks(file, std::size_t{options.before_mb} << 20);
  gateway.call("capture", params);
  if (options.with_keys)
    invocation.terminal.err << "warning: " << options.file
                            << " will hold the interface's private key: whoever has "
                            << "it can read and forge the traffic of all its peers\n";
  bool told = false, read_on = true;  // false: whoever read the capture has gone
  while (read_on) {
    const auto bytes = gateway.receive(kLook);
    if (bytes && bytes->empty()) break;
    if (bytes) read_on = blocks.take(*bytes);
    if (!told && is_over(blocks, options)) gateway.end_requests(), told = true;
  }
  invocation.terminal.err << counted(blocks.packets(), "packet") << " captured, " << blocks.lost()
                          << " lost: the buffer was full\n";
  if (!read_on && !told) throw CommandFailed(kFailed, "what read the capture has closed its end of the pipe");
  if (!blocks.ended() && !told)
    throw CommandFailed(kFailed,
                        "the gateway ended the capture: it stops, or its output was not read for 10 s");
}

namespace {

// ---------------------------------------------------------------- trace

void print_trace(const Json& trace, std::ostream& out) {
  out << "#" << members::digits(trace, "number") << "  "
      << format_time(members::time(trace, "at").value_or(WallTime{})) << ", worker "
      << members::digits(trace, "worker") << "\n";
  for (const Json& step : members::list(trace, "steps")) {
    std::string stage = members::text(step, "stage");
    stage.resize(std::max<std::size_t>(stage.size(), 16), ' ');
    out << "  " << stage << "  " << members::text(step, "words") << "\n";
  }
  const auto& steps = members::list(trace, "steps");
  if (!steps.empty())
    out << "  " << members::one_decimal(members::real(steps.back(), "ns") / 1000)
        << " us from the first to the last\n";
}

struct TraceOptions : CaptureOptions {
  bool json = false;
};

void trace(const TraceOptions& options, Invocation& invocation) {
  const Interruptible interruptible;
  RpcClient gateway(invocation.socket, Access::kAdmin);
  gateway.call("trace", params_of(options));
  std::ostream& out = invocation.terminal.out;
  std::string text;
  bool told = false;
  for (;;) {
    const auto bytes = gateway.receive(std::chrono::milliseconds{100});
    if (bytes && bytes->empty()) return;
    if (bytes) text += *bytes;
    for (auto end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
      const Json line = Json::parse(text.substr(0, end), nullptr, false);
      if (options.json) {
        out << text.substr(0, end + 1) << std::flush;
      } else if (line.is_object() && line.contains("trace")) {
        print_trace(line["trace"], out);
        out << "\n" << std::flush;
      } else if (line.is_object() && line.contains("end")) {
        const Json& end_of_trace = line["end"];
        invocation.terminal.err << counted(members::number(end_of_trace, "packets"), "packet") << " traced, "
                                << counted(members::number(end_of_trace, "lost"), "note")
                                << " lost: the buffer was full\n";
      }
      text.erase(0, end + 1);
    }
    if (!told && (interrupted || !out)) gateway.end_requests(), told = true;
  }
}

// ---------------------------------------------------------------- the commands

void add_selection(CLI::App& command, CaptureOptions& options) {
  command.add_option("--peer", options.peer, "Only packets of this peer: name or public key")
      ->type_name("PEER");
  command.add_option("--interface", options.interface, "Only packets of this WireGuard interface")
      ->type_name("INTERFACE");
  command.add_option("--port", options.port, "Only packets that come or leave by this port")
      ->type_name("PORT");
  command.add_flag("--drops", options.drops, "Only dropped packets");
  command.add_option("--reason", options.reasons, "Only drops for this reason; may be repeated")
      ->type_name("REASON")
      ->allow_extra_args(false);
  command.add_option("--count", options.count, "End after N packets")->check(whole_number(1))->type_name("N");
  command.add_option("--seconds", options.seconds, "End after N seconds")
      ->check(whole_number(1))
      ->type_name("N");
  command
      .add_option("filter", options.filter, "Filter as for tcpdump; the frame or the inner packet matches")
      ->type_name("FILTER");
}

void add_capture_command(CLI::App& app, Invocation& invocation) {
  const auto options = std::make_shared<CaptureOptions>();
  auto* command = app.add_subcommand("capture", "Capture packets, inner ones in clear, as a pcapng file");
  options->file = "-";
  add_selection(*command, *options);
  auto* inner = command->add_flag("--inner", options->inner, "Only inner packets");
  command->add_flag("--outer", options->outer, "Only frames of ports")->excludes(inner);
  command->add_flag("--both", options->both, "Inner packets and frames (the default)")->excludes(inner);
  command
      ->add_option("-w,--write", options->file, "File to write, made for its owner alone; -: standard output")
      ->type_name("FILE")
      ->capture_default_str();
  command->add_option("--snap", options->snap, "Keep N bytes of a packet (default: all)")
      ->check(whole_number(1, 65535))
      ->type_name("N");
  command->add_option("--buffer", options->ring_mb, "MB between each worker and the gateway's control thread")
      ->check(whole_number(1, WatchRequest::kMostRingMb))
      ->type_name("MB")
      ->capture_default_str();
  command
      ->add_option("--before", options->before_mb,
                   "Keep the newest N MB, and write them when a packet is dropped for a --reason")
      ->check(whole_number(1, 4096))
      ->type_name("MB");
  command->add_option("--after", options->after, "With --before: seconds to go on after the drop")
      ->check(whole_number(0))
      ->type_name("SECONDS")
      ->capture_default_str();
  command
      ->add_flag(
          "--with-keys", options->with_keys,
          "Record the secrets of the peer's handshakes too, for Wireshark: the gateway has to run with "
          "--allow-key-captures")
      ->needs(command->get_option("--peer"));
  command->callback([options, &invocation] {
    if (options->file == "-" && options->with_keys)
      throw CommandFailed(kBadUsage, "keys go into a file, which is made for its owner alone (-w FILE)");
    if (options->file == "-" && invocation.terminal.out_file >= 0 &&
        isatty(invocation.terminal.out_file) == 1)
      throw CommandFailed(kBadUsage,
                          "a capture is no text: write it to a file (-w FILE) or into a pipe (-w -)");
    capture(*options, invocation);
  });
}

void add_trace_command(CLI::App& app, Invocation& invocation) {
  const auto options = std::make_shared<TraceOptions>();
  auto* command = app.add_subcommand("trace", "Print what each stage decides about chosen packets");
  options->count = 10;
  options->seconds = 60;
  add_selection(*command, *options);
  command->get_option("--count")->default_str("10");
  command->get_option("--seconds")->default_str("60");
  command->add_flag("--json", options->json, "Print JSON, one document per line");
  command->callback([options, &invocation] { trace(*options, invocation); });
}

}  // namespace

void add_capture(CLI::App& app, Invocation& invocation) {
  add_capture_command(app, invocation);
  add_trace_command(app, invocation);
}

}  // namespace wg::control::cli
