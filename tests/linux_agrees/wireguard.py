"""A WireGuard initiator in few lines: what the test's peers speak. Section 5.4 of the WireGuard paper.

It never retries and never rekeys by itself: the test starts each handshake when nothing else happens.
"""
import hashlib
import hmac
import os
import struct
import time

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

CONSTRUCTION = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"
IDENTIFIER = b"WireGuard v1 zx2c4 Jason@zx2c4.com"
TAI64_EPOCH = 0x400000000000000A
RESPONSE, DATA = 2, 4


def hash_(*parts):
    return hashlib.blake2s(b"".join(parts)).digest()


def mac(key, data):
    return hashlib.blake2s(data, key=key, digest_size=16).digest()


def derive(key, data, n):
    def hmac_(k, d):
        return hmac.new(k, d, hashlib.blake2s).digest()

    secret, out, last = hmac_(key, data), [], b""
    for i in range(n):
        last = hmac_(secret, last + bytes([i + 1]))
        out.append(last)
    return out


def nonce(counter):
    return struct.pack("<IQ", 0, counter)


def public_bytes(private):
    return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def private_bytes(private):
    return private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())


class Session:
    """Keys of one direction each, and our counter."""

    def __init__(self, send, receive, receiver):
        self.send, self.receive, self.receiver = ChaCha20Poly1305(send), ChaCha20Poly1305(receive), receiver
        self.counter = 0
        self.born = time.monotonic()

    def seal(self, inner):
        padded = inner + bytes(-len(inner) % 16)
        message = struct.pack("<IIQ", DATA, self.receiver, self.counter)
        message += self.send.encrypt(nonce(self.counter), padded, b"")
        self.counter += 1
        return message

    def open(self, message):
        counter = struct.unpack_from("<Q", message, 8)[0]
        return self.receive.decrypt(nonce(counter), bytes(message[16:]), b"")


class Initiator:
    """One peer towards one gateway. `index`: of its newest session; the gateway's messages carry it."""

    def __init__(self, index, private, gateway_public):
        self.index, self.private, self.gateway = index, private, gateway_public
        self.session = None
        self.state = None

    def concerns(self, message):
        """Is the message for the newest session?"""
        at = 8 if message[0] == RESPONSE else 4
        return struct.unpack_from("<I", message, at)[0] == self.index

    def initiation(self):
        self.index += 256
        ephemeral = X25519PrivateKey.generate()
        chain = hash_(CONSTRUCTION)
        seen = hash_(hash_(chain, IDENTIFIER), self.gateway)
        own = public_bytes(ephemeral)
        chain = derive(chain, own, 1)[0]
        seen = hash_(seen, own)
        gateway = X25519PublicKey.from_public_bytes(self.gateway)
        chain, key = derive(chain, ephemeral.exchange(gateway), 2)
        static = ChaCha20Poly1305(key).encrypt(nonce(0), public_bytes(self.private), seen)
        seen = hash_(seen, static)
        chain, key = derive(chain, self.private.exchange(gateway), 2)
        now = time.time_ns()
        stamp = struct.pack(">QI", TAI64_EPOCH + now // 10**9, now % 10**9)
        stamp = ChaCha20Poly1305(key).encrypt(nonce(0), stamp, seen)
        seen = hash_(seen, stamp)
        message = struct.pack("<II", 1, self.index) + own + static + stamp
        message += mac(hash_(b"mac1----", self.gateway), message) + bytes(16)
        self.state = (ephemeral, chain, seen)
        self.session = None
        return message

    def consume_response(self, message):
        ephemeral, chain, seen = self.state
        theirs = bytes(message[12:44])
        chain = derive(chain, theirs, 1)[0]
        seen = hash_(seen, theirs)
        other = X25519PublicKey.from_public_bytes(theirs)
        chain = derive(chain, ephemeral.exchange(other), 1)[0]
        chain = derive(chain, self.private.exchange(other), 1)[0]
        chain, mixed, key = derive(chain, bytes(32), 3)
        seen = hash_(seen, mixed)
        ChaCha20Poly1305(key).decrypt(nonce(0), bytes(message[44:60]), seen)
        send, receive = derive(chain, b"", 2)
        self.session = Session(send, receive, struct.unpack_from("<I", message, 4)[0])
        self.state = None


def new_private():
    return X25519PrivateKey.from_private_bytes(os.urandom(32))
