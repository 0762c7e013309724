#!/usr/bin/env python3
"""The same by ctypes: an adapter that is up, with a private key and one peer; it prints what the gateway says of it.

  LINEGATE_SOCKET=/run/linegate/control.sock adapter.py NAME PRIVATE_KEY_HEX PEER_PUBLIC_KEY_HEX 10.9.0.2/32

The adapter is gone when the program ends, however it ends."""
import ctypes as c
import ipaddress
import sys

lib = c.CDLL("liblinegate.so.1")
lib.lg_error_name.restype = c.c_char_p
IPV4, IPV6, UP = 4, 6, 1
INTERFACE_HAS_PRIVATE_KEY, PEER_HAS_PUBLIC_KEY = 1 << 1, 1 << 0


class Interface(c.Structure):
    _fields_ = [("size", c.c_uint32), ("flags", c.c_uint32), ("private_key", c.c_uint8 * 32), ("public_key", c.c_uint8 * 32),
                ("listen_port", c.c_uint16), ("reserved0", c.c_uint16), ("fwmark", c.c_uint32), ("peers_count", c.c_uint32),
                ("reserved1", c.c_uint32)]


class Endpoint(c.Structure):
    _fields_ = [("family", c.c_uint16), ("port", c.c_uint16), ("scope_id", c.c_uint32), ("address", c.c_uint8 * 16)]


class Peer(c.Structure):
    _fields_ = [("size", c.c_uint32), ("flags", c.c_uint32), ("public_key", c.c_uint8 * 32), ("preshared_key", c.c_uint8 * 32),
                ("endpoint", Endpoint), ("persistent_keepalive", c.c_uint16), ("reserved0", c.c_uint16),
                ("allowed_ips_count", c.c_uint32), ("tx_bytes", c.c_uint64), ("rx_bytes", c.c_uint64), ("last_handshake", c.c_int64)]


class AllowedIp(c.Structure):
    _fields_ = [("size", c.c_uint32), ("flags", c.c_uint32), ("address", c.c_uint8 * 16), ("family", c.c_uint8),
                ("cidr", c.c_uint8), ("reserved0", c.c_uint16), ("reserved1", c.c_uint32)]


class Configuration(c.Structure):  # one peer with one allowed IP
    _fields_ = [("interface", Interface), ("peer", Peer), ("allowed_ip", AllowedIp)]


def check(error):
    if error == 0: return
    text = c.c_char_p()
    lib.lg_last_error(c.byref(text))
    sys.exit(f"{lib.lg_error_name(error).decode()}: {text.value.decode()}")


name, private_key, peer_key, allowed = sys.argv[1:5]
prefix = ipaddress.ip_network(allowed)
wanted = Configuration()
for part in (wanted.interface, wanted.peer, wanted.allowed_ip): part.size = c.sizeof(part)
wanted.interface.flags, wanted.interface.peers_count = INTERFACE_HAS_PRIVATE_KEY, 1
wanted.interface.private_key[:] = bytes.fromhex(private_key)
wanted.peer.flags, wanted.peer.allowed_ips_count = PEER_HAS_PUBLIC_KEY, 1
wanted.peer.public_key[:] = bytes.fromhex(peer_key)
wanted.allowed_ip.family = IPV4 if prefix.version == 4 else IPV6
wanted.allowed_ip.cidr = prefix.prefixlen
wanted.allowed_ip.address[:len(prefix.network_address.packed)] = prefix.network_address.packed

adapter = c.c_void_p()
check(lib.lg_adapter_create(name.encode(), b"example", None, 0, c.byref(adapter)))
check(lib.lg_set_configuration(adapter, c.byref(wanted), c.c_size_t(c.sizeof(wanted))))
check(lib.lg_adapter_set_state(adapter, UP))

got, size, ifindex = c.c_void_p(), c.c_size_t(), c.c_uint32()
check(lib.lg_get_configuration_alloc(adapter, c.byref(got), c.byref(size)))
check(lib.lg_adapter_luid(adapter, c.byref(ifindex), None))
found = Interface.from_address(got.value)
peer = Peer.from_address(got.value + found.size)
print(f"ifindex {ifindex.value} port {found.listen_port} peers {found.peers_count} key {bytes(peer.public_key).hex()}")
lib.lg_configuration_free(got)
lib.lg_adapter_close(adapter)
