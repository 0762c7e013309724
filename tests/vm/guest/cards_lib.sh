# Sourced by the parts with cards. The peer is this kernel's WireGuard in the namespace "peer", on the hub of wan0; a host of the
# LAN is the namespace "host", on the hub of lan0. Both have a virtio-net card of their own. The interface of the peer has a name of
# its own: wg(8) would take "wg0" in any namespace for the gateway's socket.
KEY=/etc/linegate/wg0.key

# configure WAN LAN [WAN'S FURTHER KEYS] [LAN'S]: writes the gateway's file.
configure() {
  (umask 077; cat >/etc/linegate/linegate.yaml) <<YAML
dpdk: { workers: ${WORKERS:-[1]}, memory: 256M, hugepages: require }
ports:
  wan0: { device: "$1", addresses: [10.20.0.1/24, "fd20::1/64"]${3:-} }
  lan0: { device: "$2", addresses: [192.168.1.1/24, "fd01::1/64"]${4:-} }
interfaces:
  wg0:
    private_key_file: wg0.key
    listen_port: 51820
    addresses: [10.10.0.1/24, "fd00::1/64"]
    peers:
      - { name: remote, public_key: "$(wg pubkey </var/lib/peer.key)", allowed_ips: [10.10.0.2/32, "fd00::2/128"] }
control: { state_directory: /var/lib/linegate, admin_group: linegate }
YAML
}

card_with() { # LAST_BYTE_OF_MAC: the name of the kernel's network card
  grep -l "^52:54:00:77:00:0$1$" /sys/class/net/*/address | head -1 | cut -d/ -f5
}
in_peer() { ip netns exec peer "$@"; }
in_host() { ip netns exec host "$@"; }

# The two ends around the gateway.
make_ends() {
  local wan lan
  wan=$(card_with 5) lan=$(card_with 6)
  ip netns add peer
  ip netns add host
  ip link set "$wan" netns peer name eth0
  ip link set "$lan" netns host name eth0
  for ns in peer host; do
    ip -n $ns link set lo up
    ip netns exec $ns sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.eth0.accept_dad=0
    ip netns exec $ns ethtool -K eth0 tx off rx off tso off gso off gro off >/dev/null 2>&1
    ip -n $ns link set eth0 up
  done
  ip -n peer addr add 10.20.0.2/24 dev eth0
  ip -n peer addr add fd20::2/64 dev eth0 nodad
  address_host eth0
  ip -n peer link add wgp type wireguard
  in_peer wg set wgp listen-port 51821 private-key /var/lib/peer.key
  ip -n peer addr add 10.10.0.2/24 dev wgp
  ip -n peer addr add fd00::2/64 dev wgp nodad
  ip -n peer link set wgp mtu 1420 up
}
address_host() { # DEVICE
  ip -n host addr add 192.168.1.2/24 dev "$1"
  ip -n host addr add fd01::2/64 dev "$1" nodad
  ip -n host route replace default via 192.168.1.1 dev "$1"
  ip -n host -6 route replace default via fd01::1 dev "$1"
}
# Forgets sessions and neighbours: the peer would use a dead session for 15 s after a restart. [ENDPOINT]
fresh() {
  local key
  key=$(linegate pubkey <$KEY)
  ip -n peer neigh flush all
  ip -n host neigh flush all
  in_peer wg set wgp peer "$key" remove
  in_peer wg set wgp peer "$key" allowed-ips 10.10.0.0/24,192.168.1.0/24,fd00::/64,fd01::/64 endpoint "${1:-10.20.0.1:51820}"
  ip -n peer route replace 192.168.1.0/24 dev wgp
  ip -n peer -6 route replace fd01::/64 dev wgp
}
# pings NAMESPACE ADDRESS [COUNT] [SIZE]: all of them must come back.
pings() {
  local out
  out=$(ip netns exec "$1" ping -q -i 0.01 -W 3 -c "${3:-5}" -s "${4:-56}" "$2" 2>&1)
  grep -q " ${3:-5} received" <<<"$out" || { echo "$out"; return 1; }
}
passes() { pings peer 192.168.1.2 && pings host 10.10.0.2; }
passes6() { pings peer fd01::2 && pings host fd00::2; }
stream() { # [iperf3's words]
  in_host iperf3 -s -1 -D >/dev/null 2>&1
  sleep 1
  in_peer timeout 40 iperf3 -c 192.168.1.2 -t 2 "$@" >/tmp/iperf 2>&1 || { tail -3 /tmp/iperf; return 1; }
}
port_value() { # PORT MEMBER
  linegate show ports --json | jq -r --arg port "$1" --arg member "$2" '.ports[] | select(.name == $port) | .[$member]'
}
# How often the port was restarted since the machine booted.
restarts_of() { journalctl -b -u linegate -o cat --no-pager | grep -c "port $1: restarted"; }
# When lan0's first restart after MILLISECONDS of the epoch was begun.
restarting_since() {
  journalctl -b -u linegate -o json --no-pager | jq -rn --argjson since "$1" 'first(inputs
    | select(.MESSAGE | tostring | test("port lan0: .*restarting it")) | .__REALTIME_TIMESTAMP | tonumber / 1000 | floor
    | select(. >= $since)) // 9999999999999'
}
restarted_more_than() { [ "$(restarts_of "$1")" -gt "$2" ]; }
# What `show` warns of about the port.
warnings_of() { linegate show --json | grep -o "port $1: [^\"]*"; }
# What the log said when the port was opened last.
port_line() { journalctl -b -u linegate -o cat --no-pager | grep "port $1: .*receive queue" | tail -1; }
no_fault() {
  local faults
  faults=$(linegate doctor --json | jq -r '.findings[] | select(.verdict == "fault") | .check + ": " + .text')
  [ -z "$faults" ] || { echo "$faults"; return 1; }
}
# sums_on_wire WHAT ENDPOINT ip|ip6: what the gateway sends to the peer has right checksums.
sums_on_wire() {
  fresh "$2"
  (in_peer timeout 40 tcpdump -i eth0 -c 40 -vv -n "$3 and udp and src port 51820" >/tmp/sums 2>&1) &
  local dump=$!
  within 10 grep -q listening /tmp/sums
  check "$1" within 20 passes
  check "$1: more of it" pings peer 192.168.1.2 40
  wait $dump
  check "$1: checksums on the wire are there and right" test "$(grep -c 'udp sum ok' /tmp/sums)" -ge 20 -a "$(grep -cE 'bad udp|bad cksum|no cksum' /tmp/sums)" = 0
}
# Frames of 300 connections from the host in the LAN, spread_over WORKERS: each of so many workers received a tenth at least.
spread_over() {
  local before after
  before=$(received_by_workers)
  in_host python3 -c '
import socket, time
for port in range(2000, 2300):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("192.168.1.2", port))
        s.sendto(bytes(100), ("10.10.0.2", 9))
    time.sleep(0.003)'
  sleep 1
  after=$(received_by_workers)
  echo "before: $before, after: $after"
  paste <(tr ' ' '\n' <<<"$before") <(tr ' ' '\n' <<<"$after") | awk -v workers="$1" '$2 - $1 >= 30 { n++ } END { exit n != workers }'
}
received_by_workers() { linegate show workers --json | jq -r '[.workers[].rx_packets] | join(" ")'; }
driver() { basename "$(readlink "/sys/bus/pci/devices/$1/driver")"; }
bind_port() { timeout 30 /usr/share/linegate/scripts/bind-port.sh "$@"; }
