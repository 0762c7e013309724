# The package under systemd: installation, the service's life, rights, the journal, control.user, upgrade, removal.
source /payload/lib.sh
dpkg_i() { dpkg -i "$@" >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; return 1; }; }
configure() { # [LINE of control:]
  umask 077
  [ -s /etc/linegate/wg0.key ] || linegate genkey >/etc/linegate/wg0.key
  cat >/etc/linegate/linegate.yaml <<YAML
dpdk: { workers: [1], memory: 256M, hugepages: off }
ports:
  wan0: { device: tap, addresses: [203.0.113.2/24] }
interfaces:
  wg0:
    private_key_file: wg0.key
    listen_port: 51820
    addresses: [10.10.0.1/24]
    peers:
      - { name: alice, public_key: "$(linegate genkey | linegate pubkey)", allowed_ips: [10.10.0.2/32] }
control: { state_directory: /var/lib/linegate, admin_group: linegate${1:-} }
YAML
}
mode() { stat -c '%a %U %G' "$1"; }
journal() { journalctl -u linegate --no-pager -o cat "$@"; }

check "the package installs" dpkg_i /payload/linegate.deb
expect "nothing is started" inactive "$(systemctl is-active linegate)"
expect "the directory of keys" "700 root root" "$(mode /etc/linegate)"
check "the group of the control socket is there" getent group linegate
for file in /usr/share/man/man1/linegate.1.gz /usr/share/bash-completion/completions/linegate /usr/share/linegate/scripts/bind-port.sh; do
  check "$file is there" test -s $file
done
exposure=$(systemd-analyze security linegate 2>/dev/null | sed -nE 's/.*exposure level for linegate.service: ([0-9.]+).*/\1/p')
note "systemd-analyze security: $exposure"
check "its exposure is at most 2.5" awk -v e="$exposure" 'BEGIN { exit !(e != "" && e <= 2.5) }'

# ---- life of the service
configure
check "enable and start: returns when the ports are up" systemctl enable --now linegate
check "the port is there as soon as start returns" ip link show wan0
check "ready is said in words" in_output "1 port" systemctl show -p StatusText --value linegate
check "show works" linegate show
expect "the control thread goes before other programs" -10 "$(awk '{ print $19 }' /proc/$(main_pid)/stat)"
for at in "/run/linegate:755 root root" "/run/wireguard:700 root root" "/var/lib/linegate:700 root root"; do
  expect "rights of ${at%%:*}" "${at#*:}" "$(mode "${at%%:*}")"
done
expect "the control socket is the group's" "660 root linegate" "$(mode /run/linegate/control.sock)"
expect "wg(8)'s socket is root's" "700 root root" "$(mode /run/wireguard/wg0.sock)"
check "nothing that it made may be written by all" test -z "$(find /run/linegate /run/wireguard /var/lib/linegate /etc/linegate -perm -002 ! -type l)"
expect "no core file" "0" "$(awk '/Max core file size/ { print $5 }' /proc/$(main_pid)/limits)"
check "no capability beside the unit's" test "$((0x$(awk '/CapEff/ { print $2 }' /proc/$(main_pid)/status) & ~0x3401))" = 0
check "no new privileges, system calls filtered" grep -qE 'NoNewPrivs:.1' /proc/$(main_pid)/status
check "and the filter is on" grep -qE '^Seccomp:.2' /proc/$(main_pid)/status

before=$(main_pid)
sed -i 's/10.10.0.1\/24/10.10.0.9\/24/' /etc/linegate/linegate.yaml
check "reload" systemctl reload linegate
check "it has taken effect" in_output 10.10.0.9 ip addr show wg0
expect "in the same process" "$before" "$(main_pid)"
cp /etc/linegate/linegate.yaml /tmp/good.yaml
echo "nonsense: 1" >>/etc/linegate/linegate.yaml
check "reload of a wrong file fails" refuses systemctl reload linegate
check "and the gateway goes on" linegate show
check "the reason is in the journal as an error" in_output nonsense journal -p err
cp /tmp/good.yaml /etc/linegate/linegate.yaml

kill -9 "$(main_pid)"
check "SIGKILL: started again" within 60 linegate show
check "by systemd" test "$(restarts)" -ge 1
count=$(restarts)
kill -STOP "$(main_pid)"
check "a control thread that stands still is ended by the watchdog and started again" within 75 test_restarted "$count"
check "and works" within 60 linegate show
before=$(main_pid)
check "restart" systemctl restart linegate
check "is another process" test "$before" != "$(main_pid)"
check "stop" systemctl stop linegate
check "takes its interfaces away" refuses ip link show wan0
expect "and is no failure" inactive "$(systemctl is-active linegate)"

echo "nonsense: 1" >>/etc/linegate/linegate.yaml
check "a wrong file at the start: fails" refuses systemctl start linegate
expect "with exit code 2" 2 "$(systemctl show -p ExecMainStatus --value linegate)"
sleep 3
expect "and is not tried again" failed "$(systemctl is-active linegate)"
cp /tmp/good.yaml /etc/linegate/linegate.yaml
systemctl reset-failed linegate

# ---- the journal
check "start" systemctl start linegate
check "lines have their priority" test "$(journal -p info..info -n 200 | grep -c .)" -gt 0
check "an error is one to journalctl" test "$(journal -p err | grep -c .)" -gt 0
check "the interface is a field" test "$(journalctl -u linegate LINEGATE_INTERFACE=wg0 -o cat --no-pager | grep -c .)" -gt 0
check "no second time stamp" refuses in_output '^20[0-9][0-9]-[0-9]*-[0-9]*T' journal -n 20 _COMM=linegate

# ---- upgrade
echo "# a line of the operator" >>/etc/linegate/linegate.yaml.example
sum=$(sha256sum /etc/linegate/linegate.yaml /etc/linegate/wg0.key | sha256sum)
before=$(main_pid)
peers=$(linegate show peers --json | grep -o '"public_key": *"[^"]*"' | sort)
check "upgrade" dpkg_i --force-confdef --force-confold /payload/later.deb
check "restarts what runs" within 60 linegate show
check "as another process" test "$before" != "$(main_pid)"
expect "configuration and keys are as they were" "$sum" "$(sha256sum /etc/linegate/linegate.yaml /etc/linegate/wg0.key | sha256sum)"
check "what the operator changed is kept" grep -q "line of the operator" /etc/linegate/linegate.yaml.example
expect "the peers are the same" "$peers" "$(linegate show peers --json | grep -o '"public_key": *"[^"]*"' | sort)"

# ---- control.user
systemctl stop linegate
useradd --system --no-create-home lg
install -d /etc/systemd/system/linegate.service.d
dpkg-deb --fsys-tarfile /payload/linegate.deb | tar -xO ./usr/share/doc/linegate/examples/control-user.conf >/etc/systemd/system/linegate.service.d/control-user.conf
systemctl daemon-reload
configure ", user: lg"
chown -R lg:lg /etc/linegate
user_of() { ps -o user= -p "$(main_pid)" | tr -d ' '; }
check "control.user: first start" systemctl start linegate
expect "the process is the user's" lg "$(user_of)"
check "and keeps NET_ADMIN and NET_RAW alone" test "$((0x$(awk '/CapEff/ { print $2 }' /proc/$(main_pid)/status)))" = $((0x3000))
check "control.user: restart" systemctl restart linegate
count=$(restarts)
kill -9 "$(main_pid)"
check "control.user: after a crash" within 30 test_restarted "$count"
check "and works" within 60 linegate show
sed -i 's/10.10.0.1\/24/10.10.0.7\/24/' /etc/linegate/linegate.yaml
check "control.user: reload" systemctl reload linegate
check "has taken effect" in_output 10.10.0.7 ip addr show wg0
systemctl stop linegate
chown -R root:root /etc/linegate /var/lib/linegate
rm -r /etc/systemd/system/linegate.service.d
systemctl daemon-reload
check "without control.user again" eval 'configure; systemctl start linegate'

# ---- removal
check "remove" dpkg -r linegate
check "the gateway has stopped" refuses pgrep -x linegate
check "configuration and keys are kept" test -s /etc/linegate/wg0.key -a -s /etc/linegate/linegate.yaml
usermod -g linegate lg
check "purge, while the group is a user's primary one" dpkg -P linegate
check "nothing is left" test -z "$(find /etc/linegate /var/lib/linegate /usr/bin/linegate /usr/share/linegate /etc/default/linegate \
  /etc/systemd/system/multi-user.target.wants/linegate.service /run/linegate 2>/dev/null)"
