#include "dataplane/io/link_speed.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <optional>

#include "dataplane/io/file_descriptor.h"

namespace wg::dataplane {
namespace {

// The settings and, behind them, three masks of link modes of at most 127 words.
class Settings {
 public:
  ethtool_link_settings* operator->() { return reinterpret_cast<ethtool_link_settings*>(words_.data()); }

 private:
  std::array<std::uint32_t, sizeof(ethtool_link_settings) / 4 + 3 * 127> words_{};
};

bool ask(const std::string& netdev, Settings& settings) {
  const FileDescriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  netdev.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&settings);
  return ::ioctl(socket.get(), SIOCETHTOOL, &request) == 0;
}

// The kernel answers the first question with the negative number of words that its masks have.
std::optional<Settings> read_settings(const std::string& netdev) {
  Settings settings;
  settings->cmd = ETHTOOL_GLINKSETTINGS;
  if (!ask(netdev, settings) || settings->link_mode_masks_nwords >= 0) return std::nullopt;
  const auto words = static_cast<std::int8_t>(-settings->link_mode_masks_nwords);
  settings = Settings();
  settings->cmd = ETHTOOL_GLINKSETTINGS;
  settings->link_mode_masks_nwords = words;
  if (!ask(netdev, settings)) return std::nullopt;
  return settings;
}

}  // namespace

std::uint32_t link_speed(const std::string& netdev) {
  std::optional<Settings> settings = read_settings(netdev);
  return settings && (*settings)->speed != static_cast<std::uint32_t>(SPEED_UNKNOWN) ? (*settings)->speed : 0;
}

Expected<> set_link_speed(const std::string& netdev, std::uint32_t mbps) {
  std::optional<Settings> settings = read_settings(netdev);
  if (settings) {
    (*settings)->cmd = ETHTOOL_SLINKSETTINGS;
    (*settings)->speed = mbps == 0 ? static_cast<std::uint32_t>(SPEED_UNKNOWN) : mbps;
    (*settings)->duplex = mbps == 0 ? DUPLEX_UNKNOWN : DUPLEX_FULL;
    if (ask(netdev, *settings)) return {};
  }
  return Refusal::from_errno(errno, "setting the speed of " + netdev);
}

}  // namespace wg::dataplane
