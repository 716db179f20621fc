// SPDX-License-Identifier: BSL-1.0
#include <genserver/sync/platform/inflate.hpp>

#include <support/catch.hpp>

#include <cstddef>
#include <random>
#include <string>
#include <string_view>

using genserver::platform::inflate;

namespace {

using namespace std::string_view_literals;

// What zlib makes of three texts: stored as it is, with fixed codes, and with codes of its own.
constexpr std::string_view stored_text =
    "\170\001\001\017\000\360\377\163\164\157\162\145\144\040\141\163\040\151\164\040\151\163"
    "\055\355\005\177"sv;
constexpr std::string_view fixed_text = "\170\001\113\114\112\116\044\204\000\377\000\015\311"sv;
constexpr std::string_view dynamic_text =
    "\170\332\155\323\101\012\002\061\020\104\321\253\344\010\126\227\316\050\236\306\205\202"
    "\053\141\106\364\372\272\320\324\100\376\056\344\223\020\036\235\365\272\274\256\113\333"
    "\265\367\345\376\134\333\355\261\264\365\267\165\376\257\064\306\271\307\032\243\366\275"
    "\172\254\245\136\367\120\217\275\036\306\352\103\257\023\234\355\161\036\343\251\307\043"
    "\274\170\352\365\004\367\072\024\000\345\215\024\120\071\126\002\254\130\011\260\024\054"
    "\201\226\242\045\340\252\160\011\274\034\060\201\230\103\046\060\013\231\300\114\061\053"
    "\060\253\230\025\230\325\146\276\300\314\101\053\102\113\005\263\220\025\220\051\144\105"
    "\043\026\262\002\262\012\131\001\231\143\126\140\026\062\003\231\102\146\040\123\310\014"
    "\144\265\371\223\100\346\230\031\314\034\064\003\132\314\014\146\212\231\301\114\061\063"
    "\230\125\314\114\146\137\264\017\333\213\233\360"sv;

std::string text_of_dynamic() {
  std::string text;
  for (int number = 0; number < 40; ++number) {
    text += "server " + std::to_string(number) + " waits for server " +
            std::to_string(number * 7 % 40) + "; ";
  }
  return text;
}

// Unpacks `size` bytes; nothing if they cannot be.
std::string unpacked(std::string_view packed, std::size_t size) {
  std::string text(size, '?');
  return inflate(packed, text.data(), size) ? text : std::string{};
}

}  // namespace

TEST_CASE("what was stored comes out as it is", "[sync][inflate]") {
  CHECK(unpacked(stored_text, 15) == "stored as it is");
}

TEST_CASE("a repeat may overlap what it repeats", "[sync][inflate]") {
  CHECK(unpacked(fixed_text, 36) == "abcabcabcabcabcabcabcabcabcabcabcabc");
}

TEST_CASE("a text with codes of its own comes out whole", "[sync][inflate]") {
  const std::string text = text_of_dynamic();

  CHECK(unpacked(dynamic_text, text.size()) == text);
}

TEST_CASE("another size than the announced one is refused", "[sync][inflate]") {
  const std::size_t size = text_of_dynamic().size();

  CHECK(unpacked(dynamic_text, size + 1).empty());
  CHECK(unpacked(dynamic_text, size - 1).empty());
  CHECK(unpacked(stored_text, 14).empty());
}

TEST_CASE("data that end too early are refused", "[sync][inflate]") {
  const std::size_t size = text_of_dynamic().size();
  constexpr std::size_t checksum = 4;  // is not looked at

  for (std::size_t length = 0; length < dynamic_text.size() - checksum - 1; ++length) {
    CHECK(unpacked(dynamic_text.substr(0, length), size).empty());
  }
}

TEST_CASE("data that are not zlib's are refused", "[sync][inflate]") {
  CHECK(unpacked("\050\265\057\375\044\003\031\000\000abc"sv, 3).empty());
  CHECK(unpacked({}, 0).empty());
}

TEST_CASE("damaged data write nothing behind their room", "[sync][inflate]") {
  std::mt19937 random{1};
  std::string text(2000, '?');
  constexpr std::size_t room = 1220;

  for (int round = 0; round < 20000; ++round) {
    std::string damaged{round % 2 == 0 ? dynamic_text : fixed_text};
    damaged[2 + random() % (damaged.size() - 2)] = static_cast<char>(random() % 256);
    static_cast<void>(inflate(damaged, text.data(), room));
  }

  CHECK(text.substr(room) == std::string(text.size() - room, '?'));
}
