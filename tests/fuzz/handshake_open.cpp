// fuzz_handshake with a handshake AEAD that opens whatever it is given: see handshake.cpp.
#include "handshake.cpp"
