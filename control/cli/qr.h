// QR codes in a terminal, by libqrencode.
#pragma once

#include <string>
#include <string_view>

namespace wg::control::cli {

// Two rows of modules a line, light on dark as terminals are, with a quiet zone of two modules (the
// terminal's own border adds to it). With `colour` the light parts are white whatever the terminal's colours
// are. Empty: the text is too long for a QR code (about 2900 bytes). Holds what `text` holds: the caller
// wipes it.
std::string qr_code(std::string_view text, bool colour);

}  // namespace wg::control::cli
