# Cards under vfio-pci: a virtual function of each of two igb, then e1000e and virtio-net. The machine has booted with the gateway
# enabled on the virtual functions (prepare_cards.sh).
source /payload/lib.sh
source /payload/cards_lib.sh
WAN=0000:01:10.0 LAN=0000:02:10.0
PF1=$(ls /sys/bus/pci/devices/0000:01:00.0/net) PF2=$(ls /sys/bus/pci/devices/0000:02:00.0/net)
make_ends

check "the gateway was started at boot" within 60 active
expect "wan0's card was bound at boot" vfio-pci "$(driver $WAN)"
expect "lan0's card was bound at boot" vfio-pci "$(driver $LAN)"
expect "the TAP has the card's address" 52:54:00:aa:01:01 "$(cat /sys/class/net/wan0/address)"

check "check finds nothing in the file" linegate check /etc/linegate/linegate.yaml
check "doctor finds no fault in the machine" no_fault
check "and names the driver of each card" in_output "vfio-pci" linegate doctor

check "check --probe does not open a card in use" in_output "a program uses $WAN" eval "linegate check --probe 2>&1; true"

# ---- bind-port.sh
check "list names driver and group" in_output "^$WAN *vfio-pci" bind_port list
check "a port in use is not taken away" refuses bind_port unbind $WAN
check "and the reason names the program" in_output "in use by linegate" eval "bind_port unbind $WAN 2>&1; true"
check "another function: bind" bind_port 0000:01:10.2
expect "with vfio-pci" vfio-pci "$(driver 0000:01:10.2)"
check "and back" bind_port unbind 0000:01:10.2
expect "with Linux's driver" igbvf "$(driver 0000:01:10.2)"

# ---- traffic over virtual functions
fresh
check "virtual functions: the first handshake, IPv4" within 30 passes
check "IPv6: neighbours are found by multicast" within 30 passes6
check "1 000 pings, none lost" pings peer 192.168.1.2 1000
check "1 000 pings from the LAN, none lost" pings host 10.10.0.2 1000
check "packets of 1420 bytes" pings peer 192.168.1.2 50 1392
check "TCP to the LAN" stream
check "TCP from the LAN" stream -R
sums_on_wire "virtual functions, outer IPv6" '[fd20::1]:51820' ip6
sums_on_wire "virtual functions, outer IPv4" 10.20.0.1:51820 ip
check "the device computes them" in_output "checksums by the device" port_line wan0

# ---- ports recreated by a reload
configure $WAN $LAN '' ', vlan: 7'
check "reload with a VLAN on lan0" systemctl reload linegate
ip -n host addr flush dev eth0
ip -n host link add link eth0 name eth0.7 type vlan id 7
ip -n host link set eth0.7 up
address_host eth0.7
check "frames of VLAN 7 reach a virtual function" within 20 passes
check "IPv6 too" within 20 passes6
ip -n host link del eth0.7
address_host eth0
configure $WAN $LAN '' ', mac: "02:00:00:00:00:09"'
check "reload with another MAC address" systemctl reload linegate
check "a virtual function may not receive it: the port says so" within 10 in_output "only if the physical function" warnings_of lan0
check "and so does the journal" within 10 in_output "lan0.*only if the physical function" journalctl -b -u linegate -p warning -o cat --no-pager
configure $WAN $LAN
check "reload back" systemctl reload linegate
check "everything passes again" within 20 passes
check "and IPv6" within 20 passes6

# ---- what happens to a virtual function from outside
received=$(port_value lan0 rx_packets)
count=$(restarts_of lan0)
check "port restart" linegate port restart lan0
expect "is counted" $((count + 1)) "$(restarts_of lan0)"
check "sessions are kept, packets pass" within 5 passes
check "IPv6 too" within 5 passes6
count=$(restarts_of lan0)
ip link set "$PF2" down
sleep 3
ip link set "$PF2" up
check "the physical function went and came: the port is restarted" within 15 restarted_more_than lan0 "$count"
check "packets pass" within 10 passes
check "and IPv6" within 10 passes6
check "with a line in the journal" in_output "lan0.*restarting it" journalctl -b -u linegate -p warning -o cat --no-pager
now=$(port_value lan0 rx_packets)
check "counters went on ($received, $now)" test "$received" -gt 0 -a "$now" -gt "$received" -a "$now" -lt $((received + 1000000))
ip link set "$PF2" vf 0 mac 52:54:00:aa:02:77
check "another MAC address by the physical function: port restart takes it over" linegate port restart lan0
check "the TAP follows" within 10 grep -q 52:54:00:aa:02:77 /sys/class/net/lan0/address
check "hosts are told, packets pass" within 10 passes
check "and IPv6" within 10 passes6
# While the physical function tells of its link, its mailbox has no answer for a driver that asks for the function's address.
(for ((i = 0; i < 40; i++)); do ethtool -r "$PF2"; sleep 0.5; done) >/dev/null 2>&1 &
renewals=$!
for n in 1 2 3; do
  linegate port restart lan0 >/dev/null
  expect "a restart while the link of the physical function comes and goes, $n: the assigned MAC address" 52:54:00:aa:02:77 "$(cat /sys/class/net/lan0/address)"
done
kill $renewals
wait $renewals 2>/dev/null
check "packets pass" within 15 passes

# Reset by hand its queues are off; the counters show that, or that nothing moves any more.
for n in 1 2; do
  sleep 11
  count=$(restarts_of lan0)
  before=$(date +%s%3N)
  echo 1 >/sys/bus/pci/devices/$LAN/reset
  in_peer ping -q -i 0.2 -w $((3 * PATIENCE)) 192.168.1.2 >/dev/null
  check "a function that was reset by hand, $n: the port is restarted" restarted_more_than lan0 "$count"
  noticed=$(($(restarting_since "$before") - before))
  check "noticed after $noticed ms (2 s; 3 s where the processor is emulated)" test $noticed -lt $((PATIENCE > 1 ? 3000 : 2000))
  check "packets pass" within 10 passes
  check "and IPv6" within 10 passes6
done

# ---- the process
kill -9 "$(main_pid)"
check "SIGKILL: started again" within 60 linegate show
fresh
check "packets pass" within 20 passes
check "stop" systemctl stop linegate
check "check --probe opens virtual functions" in_output "port lan0: net_e1000_igb_vf, .*checksums by the device, link of" linegate check --probe
configure $WAN $LAN '' ', mac: "02:00:00:00:00:09", queues: 2'
check "and says what they refuse" in_output "warning: port lan0: frames to 02:00:00:00:00:09" eval "linegate check --probe 2>&1"
configure $WAN $LAN
# udev, which has read of a new interface before the gateway gave it its address, gives it another: here in udev's place.
udevadm control --stop-exec-queue
check "a start works after it" systemctl start linegate
ip link set wan0 address 02:00:00:00:00:11
check "an address that udev gives the new interface is undone" within 5 grep -q 52:54:00:aa:01:01 /sys/class/net/wan0/address
check "and the journal says so" in_output "wan0: udev gave" journalctl -b -u linegate -p warning -o cat --no-pager
udevadm control --start-exec-queue
udevadm settle --timeout=60
fresh
check "packets pass" within 20 passes
check "stop" systemctl stop linegate
check "a free card goes back to Linux" bind_port unbind $WAN
check "check --probe names the card that is not bound" in_output "error: port wan0: .*bound to driver" eval "linegate check --probe 2>&1; true"
bind_port unbind $LAN >/dev/null

# ---- e1000e and virtio-net
check "e1000e: bind" bind_port 0000:03:00.0
expect "with vfio-pci" vfio-pci "$(driver 0000:03:00.0)"
check "virtio-net: bind" bind_port 0000:04:00.0
configure 0000:03:00.0 0000:04:00.0 ', mtu: 1600' ', mac: "02:00:00:00:00:09"'
check "start on e1000e and virtio-net" systemctl start linegate
fresh
check "packets pass, with a MAC address of our own" within 30 passes
check "and IPv6" within 30 passes6
check "1 000 pings, none lost" pings peer 192.168.1.2 1000
check "1 000 pings from the LAN, none lost" pings host 10.10.0.2 1000
check "TCP to the LAN" stream
check "TCP from the LAN" stream -R
expect "virtio-net leaves sums to the workers" 0 "$(port_line lan0 | grep -c 'by the device')"
sums_on_wire "e1000e, outer IPv6" '[fd20::1]:51820' ip6
sums_on_wire "e1000e, outer IPv4" 10.20.0.1:51820 ip
check "the device computes them" in_output "checksums by the device" port_line wan0
expect "the MTU is in force" 1600 "$(cat /sys/class/net/wan0/mtu)"
expect "no card has anything to complain of" "" "$(warnings_of wan0)$(warnings_of lan0)"
configure 0000:03:00.0 0000:04:00.0 '' ', vlan: 7'
check "reload: both ports are recreated" systemctl reload linegate
ip -n host addr flush dev eth0
ip -n host link add link eth0 name eth0.7 type vlan id 7
ip -n host link set eth0.7 up
address_host eth0.7
check "VLAN 7 over virtio-net" within 20 passes
kill -9 "$(main_pid)"
check "SIGKILL: started again" within 60 linegate show
fresh
check "packets pass" within 20 passes
check "stop" systemctl stop linegate

# ---- two queues: the physical function of an igb
echo 0 >/sys/bus/pci/devices/0000:02:00.0/sriov_numvfs
check "e1000e goes back" bind_port unbind 0000:03:00.0
expect "to Linux's driver" e1000e "$(driver 0000:03:00.0)"
check "a physical function: bind" bind_port 0000:02:00.0
check "a virtual function: bind again" bind_port $WAN
WORKERS='[0, 1]' configure $WAN 0000:02:00.0
check "start with two workers" systemctl start linegate
fresh
check "the physical function has a queue for each" test "$(port_value lan0 rx_queues)/$(port_value lan0 tx_queues)" = 2/2
check "a virtual function that does not spread frames says so" within 10 in_output "does not spread frames" warnings_of wan0
# In QEMU it receives nothing in one run of two, with its link up; the reason is not known.
if within 10 passes; then
  check "and IPv6" within 30 passes6
  check "RSS: both workers receive frames" spread_over 2
  check "TCP to the LAN" stream
  check "TCP from the LAN" stream -R
else note "the physical function receives nothing: QEMU, or the driver, after Linux's had used it"; fi
check "stop" systemctl stop linegate
check "the physical function goes back" bind_port unbind 0000:02:00.0
expect "to Linux's driver" igb "$(driver 0000:02:00.0)"
