// A small mailbox: a sender that is too fast waits, is refused, or pushes out the oldest.
#include <genserver/genserver.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <latch>
#include <string>

using genserver::OnFull;

struct Pages {
  std::string printed{};
};

// Sends four pages to a printer that has no paper yet, and room for two in its mailbox.
void print(const char* policy, OnFull on_full) {
  std::latch is_printing{1};
  std::latch paper{1};
  genserver::GenServer<Pages> printer{
      {.name = "printer", .mailbox_capacity = 2, .on_full = on_full}};
  printer.cast([&] {
    is_printing.count_down();
    paper.wait();
  });
  is_printing.wait();

  std::printf("%s:", policy);
  const auto page = [](char number) { return [number](Pages& pages) { pages.printed += number; }; };
  for (const char number : {'1', '2', '3', '4'}) {
    if (on_full == OnFull::block && number > '2') {  // cast would wait; these do not for long
      const bool at_once = printer.try_cast(page(number));
      const bool soon = printer.cast_for(std::chrono::milliseconds{5}, page(number));
      std::printf(" %c refused %s,", number, at_once || soon ? "" : "twice");
    } else if (!printer.cast(page(number))) {
      std::printf(" %c refused,", number);
    }
  }
  paper.count_down();
  // A call takes no place, so it is never refused, and it comes after what was sent before.
  std::printf(" printed %s\n", printer.call([](Pages& pages) { return pages.printed; }).c_str());
}

int main() {
  std::atomic<unsigned long> reported{0};
  genserver::set_report_sink([&](const genserver::Report& report) {  // by default: to stderr
    reported += report.count;
  });
  print("block", OnFull::block);
  print("fail", OnFull::fail);
  print("drop_oldest", OnFull::drop_oldest);
  std::printf("refused or dropped by policy, and reported: %lu\n", reported.load());
}

// Output:
// block: 3 refused twice, 4 refused twice, printed 12
// fail: 3 refused, 4 refused, printed 12
// drop_oldest: printed 34
// refused or dropped by policy, and reported: 4
