# Before the machine boots: the package, a gateway on a virtual function of each igb, and what makes those functions.
source /payload/lib.sh
dpkg -s linegate >/dev/null 2>&1 || dpkg -i /payload/linegate.deb >/tmp/dpkg.log 2>&1
cat >/usr/local/sbin/make-vfs <<'SH'
#!/bin/bash
udevadm settle --timeout=180
for n in 1 2; do
  pf=/sys/bus/pci/devices/0000:0$n:00.0
  for ((i = 0; i < 1200; i++)); do [ -e $pf/net ] && break; sleep 0.1; done
  name=$(ls $pf/net)
  ip link set "$name" up
  echo 2 >$pf/sriov_numvfs
  ip link set "$name" vf 0 mac 52:54:00:aa:0$n:01
  sysctl -qw "net.ipv4.conf.$name.arp_ignore=1" "net.ipv6.conf.$name.disable_ipv6=1"
done
SH
chmod +x /usr/local/sbin/make-vfs
cat >/etc/systemd/system/make-vfs.service <<'UNIT'
[Unit]
Before=linegate-ports.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/make-vfs
[Install]
WantedBy=multi-user.target
UNIT
cat >/etc/default/linegate <<'SH'
BIND="0000:01:10.0 0000:02:10.0"
HUGEPAGES_MB=300
WAIT_SECONDS=180
SH
install -d -m 0700 /etc/linegate
[ -s /etc/linegate/wg0.key ] || (umask 077; linegate genkey >/etc/linegate/wg0.key)
(umask 077; wg genkey >/var/lib/peer.key)
source /payload/cards_lib.sh
configure 0000:01:10.0 0000:02:10.0
systemctl enable make-vfs linegate
