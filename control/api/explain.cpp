#include "control/api/explain.h"

#include <algorithm>
#include <array>
#include <optional>

#include "control/api/format.h"

namespace wg::control {
namespace {

struct Words {
  const char* name;
  const char* words;
};

constexpr Words kEventWords[] = {
#define X(kind, name, words, detail) {name, words},
    WG_PEER_EVENTS(X)
#undef X
#define X(kind, name, words) {name, words},
        WG_CONTROL_PEER_EVENTS(X)
#undef X
};

const Words& words_of(PeerEventKind kind) {
  return kEventWords[static_cast<std::size_t>(kind)];
}

using Kind = PeerEventKind;

// The causes that keep a peer down, the most decisive first: what can never work, then what was refused with
// a named check, then what is missing on the way, then silence.
struct Cause {
  Kind kind;
  std::string_view advice;
};
constexpr std::array<Cause, 31> kCauses{{
    {Kind::kInterfaceDown, "bring it up: linegate interface up NAME"},
    {Kind::kNoPrivateKey, "give the interface a private key"},
    {Kind::kLowOrderKey, "the configured public key is not a real one: ask the peer for its key"},
    {Kind::kUnknownKey, "if that address is this peer's, its key has changed: configure the key it presents"},
    {Kind::kBadMac1, "the peer has a wrong public key for us: compare it with `linegate show interfaces`"},
    {Kind::kResponseRefused,
     "compare the preshared keys of both sides; they must be equal, or absent on both"},
    {Kind::kBadInitiation, "the initiation is damaged or forged: look for a second device with the same key"},
    {Kind::kTimestampNotNewer,
     "the peer's clock went back (or one key is used by two devices): set its clock, then bring it up again"},
    {Kind::kTimestampAhead,
     "set the peer's clock: once it is corrected, its initiations will be refused as old"},
    {Kind::kClockBehind, "set our clock (NTP): peers refuse our initiations until it has caught up"},
    {Kind::kInitiationFlood, "the peer starts handshakes in a loop: look for two devices with the same key"},
    {Kind::kRateLimited, "too many handshakes from one address while we are under load: look for a flood"},
    {Kind::kQueueFull, "we are flooded with handshakes: see `linegate show drops`"},
    {Kind::kCookieSent, "we are under load; the peer retries with the cookie within 5 s by itself"},
    {Kind::kCookieRefused, "cookie replies do not match what we sent: another host may be answering"},
    {Kind::kNameUnresolved, "check the name and the resolver of this machine"},
    {Kind::kNoEndpoint,
     "the endpoint is unknown: configure it, or let the peer initiate (persistent keepalive "
     "there)"},
    {Kind::kNextHopUnresolved, "the gateway or neighbour does not answer ARP or ND: check link and route"},
    {Kind::kIcmpPortUnreachable,
     "the host is there, but nothing listens on that UDP port: wrong port, or WireGuard does not run there"},
    {Kind::kIcmpProhibited, "a firewall on the way refuses our packets: allow the endpoint's UDP port there"},
    {Kind::kIcmpUnreachable, "the host is off, or a router on the way has no route to it: ask who answered"},
    {Kind::kIcmpTooBig, "lower the peer's `mtu`: what is larger than the way is lost or cut"},
    {Kind::kCookieReceived, "the peer is under load; we retry with the cookie by ourselves"},
    {Kind::kBadHandshake, "a handshake message was refused: see its reason above"},
    {Kind::kWayBlocked,
     "look for what drops UDP from us to the peer: a firewall there or here, or its NAT; its key is right"},
    {Kind::kUnusedResponses,
     "compare the preshared keys of both sides; if they are equal, something drops UDP from us to the peer"},
    {Kind::kTwoDevices, "give each device a key and a peer entry of its own"},
    {Kind::kGaveUp,
     "nothing answers there: wrong address or port, a firewall, the peer is off, or it does not have our "
     "key"},
    {Kind::kUnresponsive, "packets leave but nothing comes back: check the path from the peer to us"},
    {Kind::kNoAnswer, "wrong address or port, a firewall, the peer is off, or it does not have our key"},
    {Kind::kExpired, "the session expired without traffic; the next packet starts a new one"},
}};

// Trouble of a peer whose session stands.
constexpr std::array<Cause, 13> kDataTroubles{{
    {Kind::kTwoDevices, "give each device a key and a peer entry of its own"},
    {Kind::kTimestampNotNewer,
     "its newest handshakes are refused, and the session ends 180 s after its start: set the peer's clock"},
    {Kind::kUnknownKey,
     "its newest handshakes are refused: if that address is this peer's, its key has changed"},
    {Kind::kBadMac1, "its newest handshakes are refused: the peer has a new, wrong public key for us"},
    {Kind::kResponseRefused, "our newest handshake failed: compare the preshared keys of both sides"},
    {Kind::kDisallowedSource, "add the prefix to this peer's allowed_ips, or stop the peer from sending it"},
    {Kind::kIcmpTooBig, "lower the peer's `mtu`: what is larger than the way is lost or cut"},
    {Kind::kIcmpPortUnreachable, "WireGuard has ended there, or the peer has another port now"},
    {Kind::kIcmpProhibited, "a firewall on the way refuses our packets: allow the endpoint's UDP port there"},
    {Kind::kIcmpUnreachable, "the host is off, or a router on the way has no route to it: ask who answered"},
    {Kind::kBadTag, "damage in transit, or forged packets"},
    {Kind::kReplayed, "packets are duplicated or delayed in transit, or an attacker replays them"},
    {Kind::kUnresponsive, "packets leave but nothing comes back: check the path from the peer to us"},
}};

std::string host_of(const std::string& endpoint) {
  return endpoint.substr(0, endpoint.rfind(':'));
}

// A message without a peer concerns this one when it came from this peer's present or former address.
bool concerns(const PeerEvent& event, const PeerFacts& facts) {
  if (event.from.empty()) return false;
  const auto same = [&](const std::string& known) {
    return !known.empty() && host_of(known) == host_of(event.from);
  };
  if (facts.peer.endpoint && same(config::to_string(*facts.peer.endpoint))) return true;
  if (same(facts.peer.configured_endpoint)) return true;
  return std::any_of(facts.events.begin(), facts.events.end(),
                     [&](const PeerEvent& seen) { return same(seen.from); });
}

// A peer without any endpoint could be anywhere: then every nameless message may be its.
bool could_concern(const PeerEvent& event, const PeerFacts& facts) {
  const bool unseen = !facts.peer.endpoint && facts.peer.configured_endpoint.empty();
  const bool nameless = event.kind == Kind::kUnknownKey || event.kind == Kind::kBadMac1;
  return concerns(event, facts) || (unseen && nameless);
}

std::vector<PeerEvent> relevant(const PeerFacts& facts) {
  std::vector<PeerEvent> events = facts.events;
  for (const auto& event : facts.unattributed)
    if (could_concern(event, facts)) events.push_back(event);
  std::stable_sort(events.begin(), events.end(),
                   [](const PeerEvent& a, const PeerEvent& b) { return a.at < b.at; });
  return events;
}

std::string label(const PeerStatus& peer) {
  return peer.name.empty() ? config::to_string(peer.public_key) : peer.name;
}

std::optional<WallTime> last_success(const std::vector<PeerEvent>& events, const PeerFacts& facts) {
  auto last = facts.peer.last_handshake;
  for (const auto& event : events)
    if (event.kind == Kind::kSessionUp || event.kind == Kind::kRekeyed)
      last = std::max(last, std::optional(event.at));
  return last;
}

PeerEvent made_up(Kind kind, WallTime at) {
  PeerEvent event;
  event.kind = kind;
  event.at = at;
  return event;
}

// ---------------------------------------------------------------- conclusions from several events

using Events = std::vector<PeerEvent>;

// The events of one kind since the last success: how many, and the newest.
struct Tally {
  std::uint32_t count = 0;
  const PeerEvent* last = nullptr;
};

Tally tally(const Events& events, Kind kind, const std::optional<WallTime>& since) {
  Tally found;
  for (const auto& event : events) {
    if (event.kind != kind || (since && event.at <= *since)) continue;
    found.count += event.count;
    found.last = &event;
  }
  return found;
}

PeerEvent concluded(Kind kind, const Tally& from) {
  PeerEvent event = *from.last;
  event.kind = kind;
  event.count = from.count;
  event.number = 0;
  event.detail.clear();
  return event;
}

// Concludes from who starts and who answers. A response of ours that does not arrive and one that the peer
// cannot open look the same from here, unless our own initiations get no answer either: a peer with another
// preshared key answers those.
void conclude_handshakes(const std::optional<WallTime>& since, Events& events) {
  const Tally sent = tally(events, Kind::kInitiationSent, since);
  const Tally answered = tally(events, Kind::kResponseSent, since);
  const bool heard = tally(events, Kind::kResponseReceived, since).count != 0 ||
                     tally(events, Kind::kResponseRefused, since).count != 0 ||
                     tally(events, Kind::kCookieReceived, since).count != 0;
  std::vector<PeerEvent> found;
  if (answered.count >= 2 && sent.count >= 2 && !heard) {
    found.push_back(concluded(Kind::kWayBlocked, answered));
  } else if (answered.count >= 2 && !heard) {
    found.push_back(concluded(Kind::kUnusedResponses, answered));
  } else if (sent.count != 0 && !heard) {
    found.push_back(concluded(Kind::kNoAnswer, sent));
  }
  events.insert(events.end(), found.begin(), found.end());
}

constexpr std::chrono::minutes kTwoDevicesWithin{3};

// The endpoint has left an address and come back to it within minutes: NAT moves a peer, but not to and fro.
void conclude_two_devices(WallTime now, Events& events) {
  std::vector<const PeerEvent*> moves;
  for (const auto& event : events)
    if (event.kind == Kind::kRoamed && now - event.at < kTwoDevicesWithin) moves.push_back(&event);
  for (std::size_t i = 2; i < moves.size(); ++i) {
    if (moves[i]->from != moves[i - 2]->from || moves[i]->from == moves[i - 1]->from) continue;
    PeerEvent event = made_up(Kind::kTwoDevices, moves[i]->at);
    event.detail = moves[i - 1]->from + " and " + moves[i]->from;
    events.push_back(std::move(event));
    return;
  }
}

// Too big is none: a smaller packet passes.
bool is_icmp_refusal(Kind kind) {
  return kind == Kind::kIcmpUnreachable || kind == Kind::kIcmpPortUnreachable ||
         kind == Kind::kIcmpProhibited;
}

// An event that says why there is no answer makes the bare fact superfluous.
void leave_out_the_obvious(Events& events, const std::optional<WallTime>& since) {
  const bool explained = std::any_of(events.begin(), events.end(), [&](const PeerEvent& event) {
    const bool says_why = event.kind == Kind::kWayBlocked || event.kind == Kind::kUnusedResponses ||
                          event.kind == Kind::kResponseRefused || event.kind == Kind::kNextHopUnresolved ||
                          event.kind == Kind::kNameUnresolved || is_icmp_refusal(event.kind);
    return says_why && (!since || event.at > *since);
  });
  const bool counted = tally(events, Kind::kNoAnswer, since).count != 0;
  std::erase_if(events, [&](const PeerEvent& event) {
    return (explained && (event.kind == Kind::kNoAnswer || event.kind == Kind::kGaveUp)) ||
           (counted && event.kind == Kind::kGaveUp);
  });
}

// States that are true now, whether or not an event was recorded for them.
std::vector<PeerEvent> standing_facts(const PeerFacts& facts, WallTime now) {
  std::vector<PeerEvent> events;
  if (!facts.interface_up) events.push_back(made_up(Kind::kInterfaceDown, now));
  if (!facts.interface_has_private_key) events.push_back(made_up(Kind::kNoPrivateKey, now));
  if (facts.peer.endpoint && !facts.next_hop_resolved) {
    events.push_back(made_up(Kind::kNextHopUnresolved, now));
    events.back().detail = facts.next_hop.empty() ? "no route" : facts.next_hop;
  }
  const bool named = !facts.peer.configured_endpoint.empty();
  if (!facts.peer.endpoint) events.push_back(made_up(named ? Kind::kNameUnresolved : Kind::kNoEndpoint, now));
  return events;
}

std::string with_time(const PeerEvent& event, WallTime now) {
  return describe(event) + ", " + format_ago(event.at, now);
}

template <std::size_t N>
void collect(const std::array<Cause, N>& causes, const std::vector<PeerEvent>& events,
             const std::optional<WallTime>& since, WallTime now, Explanation& out) {
  for (const auto& cause : causes) {
    const auto newest = std::find_if(events.rbegin(), events.rend(), [&](const PeerEvent& event) {
      return event.kind == cause.kind && (!since || event.at > *since);
    });
    if (newest == events.rend()) continue;
    const bool standing = newest->at == now && newest->from.empty();
    out.reasons.push_back(standing ? describe(*newest) : with_time(*newest, now));
    out.advice.emplace_back(cause.advice);
  }
}

bool depends_on_clocks(const Events& events) {
  return std::any_of(events.begin(), events.end(), [](const PeerEvent& event) {
    return event.kind == Kind::kTimestampNotNewer || event.kind == Kind::kTimestampAhead ||
           event.kind == Kind::kClockBehind || event.kind == Kind::kClockJumped;
  });
}

void conclude_up(const PeerFacts& facts, WallTime now, Explanation& out) {
  const PeerStatus& peer = facts.peer;
  out.verdict = label(peer) + " is up: session " + format_duration(*peer.session_age) +
                " old, last packet received " + format_ago(peer.last_received, now) + ".";
  if (!out.reasons.empty()) out.verdict += " But not everything is well:";
}

void conclude_down(const PeerFacts& facts, Explanation& out) {
  const std::string name = label(facts.peer);
  if (out.reasons.empty()) {
    out.verdict =
        name + " has no session, and neither side has tried: WireGuard is silent until there is traffic.";
    out.advice.emplace_back(
        "send something to one of its allowed IPs, or set persistent_keepalive on the side behind NAT");
    return;
  }
  out.verdict = name + " is not up: " + out.reasons.front() + ".";
}

}  // namespace

std::string_view name_of(PeerEventKind kind) {
  return words_of(kind).name;
}

namespace {

bool is_outgoing(Kind kind) {
  return kind == Kind::kInitiationSent || kind == Kind::kResponseSent || kind == Kind::kCookieSent ||
         kind == Kind::kGaveUp || kind == Kind::kRoamed || kind == Kind::kEndpointSet ||
         kind == Kind::kEndpointRestored || kind == Kind::kNoAnswer || kind == Kind::kUnusedResponses ||
         kind == Kind::kWayBlocked || kind == Kind::kIcmpTooBig || is_icmp_refusal(kind);
}

// The words with the address where it belongs: after what was received, before why it was refused.
std::string words_with_address(const PeerEvent& event) {
  const std::string words = words_of(event.kind).words;
  if (event.from.empty()) return words;
  const std::string where = (is_outgoing(event.kind) ? " to " : " from ") + event.from;
  if (event.kind == Kind::kIcmpTooBig || is_icmp_refusal(event.kind)) return words + where;
  const auto colon = words.find(": ");
  return colon == std::string::npos ? words : words.substr(0, colon) + where + words.substr(colon);
}

}  // namespace

std::string describe(const PeerEvent& event) {
  std::string text = words_with_address(event);
  if (event.by.count() != 0) text += " by " + format_duration(event.by);
  if (!event.detail.empty()) text += ": " + event.detail;
  if (!event.claimed_key.empty()) text += " (" + event.claimed_key + ")";
  if (!event.source.empty()) {
    text += " (source " + event.source;
    text += event.owner.empty() ? ", in no peer's allowed_ips)" : ", which belongs to " + event.owner + ")";
  }
  if (event.number != 0) text += " (attempt " + std::to_string(event.number) + ")";
  if (!event.from.empty() && text.find(event.from) == std::string::npos)
    text += (is_outgoing(event.kind) ? " to " : " from ") + event.from;
  if (event.count > 1) text += ", " + std::to_string(event.count) + " times";
  return text;
}

Explanation explain(const PeerFacts& facts, WallTime now) {
  Explanation out;
  auto events = relevant(facts);
  for (const auto& event : events) out.history.push_back(format_time(event.at) + "  " + describe(event));
  out.up = facts.interface_up && facts.peer.active();
  conclude_two_devices(now, events);
  if (out.up) {
    collect(kDataTroubles, events, facts.peer.last_handshake, now, out);
    conclude_up(facts, now, out);
    return out;
  }
  const auto since = last_success(events, facts);
  for (auto& event : standing_facts(facts, now)) {
    // The recorded event of the same kind says more (the name, the neighbour).
    const auto same = [&](const PeerEvent& seen) {
      return seen.kind == event.kind && (!since || seen.at > *since);
    };
    if (std::none_of(events.begin(), events.end(), same)) events.push_back(std::move(event));
  }
  conclude_handshakes(since, events);
  leave_out_the_obvious(events, since);
  collect(kCauses, events, since, now, out);
  if (!facts.clock_synchronised && depends_on_clocks(events))
    out.advice.emplace_back("our clock is not synchronised; a clock that goes back makes peers refuse us");
  conclude_down(facts, out);
  return out;
}

std::string to_text(const Explanation& explanation) {
  std::string text = explanation.verdict + "\n";
  const auto section = [&](std::string_view title, const std::vector<std::string>& lines) {
    if (lines.empty()) return;
    text.append("\n").append(title).append(":\n");
    for (const auto& line : lines) text.append("  ").append(line).append("\n");
  };
  section("reasons, the most decisive first", explanation.reasons);
  section("what to do", explanation.advice);
  section("what happened", explanation.history);
  return text;
}

}  // namespace wg::control
