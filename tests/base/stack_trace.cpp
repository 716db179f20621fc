// SPDX-License-Identifier: BSL-1.0
#include <genserver/base/stack_trace.hpp>

#include <support/catch.hpp>

#include <cstddef>
#include <sstream>
#include <string>
#include <string_view>

using genserver::Frame;
using genserver::is_library_frame;
using genserver::StackTrace;
using genserver::to_text;

namespace {

Frame frame(std::string function, std::string module = "program") {
  Frame made;
  made.address = 0x401234;
  made.offset = 0x1234;
  made.function = std::move(function);
  made.module = std::move(module);
  return made;
}

bool is_users(std::string function) { return !is_library_frame(frame(std::move(function))); }

}  // namespace

TEST_CASE("a frame is printed on one line with its number, name and place", "[base][stack_trace]") {
  const StackTrace trace{{frame("app::run(int)"), frame("main")}, ""};

  CHECK(to_text(trace, "  ") ==
        "  #0  app::run(int)  (program+0x1234)\n"
        "  #1  main  (program+0x1234)\n");
}

TEST_CASE("file and line are preferred where they are known", "[base][stack_trace]") {
  Frame known = frame("app::run(int)");
  known.file = "account.cpp";
  known.line = 42;
  known.is_inlined = true;

  CHECK(to_text({{known}, ""}) == "#0  app::run(int)  [inlined]  at account.cpp:42\n");
}

TEST_CASE("a file without a line is printed alone", "[base][stack_trace]") {
  Frame known = frame("app::run(int)");
  known.file = "account.cpp";

  CHECK(to_text({{known}, ""}) == "#0  app::run(int)  at account.cpp\n");
}

TEST_CASE("a place that does not fit beside its function goes below", "[base][stack_trace]") {
  Frame known = frame("app::Connection::query_loop(int&)");
  known.file = "connection.cpp";
  known.line = 7;
  const std::string fits(22, ' ');  // with 58 columns of the frame
  const std::string wide(23, ' ');

  CHECK(to_text({{known}, ""}, fits) ==
        fits + "#0  app::Connection::query_loop(int&)  at connection.cpp:7\n");
  CHECK(to_text({{known}, ""}, wide) ==
        wide + "#0  app::Connection::query_loop(int&)\n" + wide + "      at connection.cpp:7\n");
}

TEST_CASE("a file's name that is wider than a line is left whole", "[base][stack_trace]") {
  Frame known = frame("app::run(int)");
  known.file = "my " + std::string(100, 'x') + ".cpp";
  known.line = 42;
  known.is_inlined = true;

  CHECK(to_text({{known}, ""}) ==
        "#0  app::run(int)  [inlined]\n      at " + known.file + ":42\n");
}

TEST_CASE("library frames are counted and the others keep their numbers", "[base][stack_trace]") {
  const StackTrace trace{{frame("read", "libc.so.6"), frame("app::run(int)"),
                          frame("genserver::GenServer<int>::loop()"), frame("clone3", "libc.so.6")},
                         ""};

  CHECK(to_text(trace) ==
        "#1  app::run(int)  (program+0x1234)\n"
        "(3 frames of genserver, std and libc not shown)\n");
}

TEST_CASE("everything is printed if all frames are of libraries", "[base][stack_trace]") {
  const StackTrace trace{{frame("read", "libc.so.6"), frame("std::thread::join()")}, ""};

  CHECK(to_text(trace) ==
        "#0  read  (libc.so.6+0x1234)\n"
        "#1  std::thread::join()  (program+0x1234)\n");
}

TEST_CASE("a trace without frames says why", "[base][stack_trace]") {
  CHECK(to_text({{}, "the thread has ended"}, "> ") == "> (no frames; the thread has ended)\n");
  CHECK(to_text({}) == "(no frames)\n");
}

TEST_CASE("the note follows the frames", "[base][stack_trace]") {
  const StackTrace trace{{frame("main"), frame("_start")}, "taken by signal"};

  CHECK(to_text(trace) ==
        "#0  main  (program+0x1234)\n"
        "(1 frame of genserver, std and libc not shown; taken by signal)\n");
}

TEST_CASE("an address without a name or a module is printed too", "[base][stack_trace]") {
  CHECK(to_text({{frame("")}, ""}) == "#0  ??  (program+0x1234)\n");
  CHECK(to_text({{frame("", "")}, ""}) == "#0  ??  (0x401234)\n");
}

TEST_CASE("a lambda belongs to the function that wrote it", "[base][stack_trace]") {
  CHECK(is_users("app::Foo::bar()::{lambda(int&)#1}::operator()(int&) const"));
  CHECK(is_users("app::Foo::bar() const::{lambda(int&)#1}::operator()(int&) const"));
  CHECK(is_users("auto main::{lambda(auto:1&&)#1}::operator()<std::string>(std::string&&) const"));
  CHECK(is_users("main::$_0::operator()(int&) const"));
  CHECK_FALSE(is_users("int genserver::GenServer<int>::call<main::{lambda(int&)#1}>(main::{lambda("
                       "int&)#1}, genserver::CallSite)"));
  CHECK_FALSE(is_users("genserver::GenServer<int>::call(int)::{lambda()#1}::operator()() const"));
  CHECK_FALSE(is_users("void std::__invoke_impl<void, app::Foo::bar()::{lambda(int&)#1}&, int&>("
                       "std::__invoke_other, app::Foo::bar()::{lambda(int&)#1}&, int&)"));
}

TEST_CASE("the type that a function returns does not decide whose it is", "[base][stack_trace]") {
  CHECK(is_users("std::vector<int, std::allocator<int> > app::list<int>(int)"));
  CHECK(is_users("genserver::ServerRef<int> app::find(std::string const&)"));
  CHECK(is_users("std::enable_if<(3)>(2), void>::type app::pick<3>()"));
  CHECK(is_users("char const* app::word<int>()"));
  CHECK(is_users("decltype(auto) app::forward<std::string&>(std::string&)"));
  CHECK_FALSE(is_users("app::Thing* std::__addressof<app::Thing>(app::Thing&)"));
  CHECK_FALSE(is_users("decltype ((get<0>)(declval<app::X>())) std::get<0>(app::X)"));
}

TEST_CASE("operators with brackets in their names are told apart", "[base][stack_trace]") {
  CHECK(is_users("bool app::operator< <int>(app::Pair<int> const&, std::string const&)"));
  CHECK(is_users("app::Value::operator std::string() const"));
  CHECK(is_users("app::Pointer<std::string>::operator->() const"));
  CHECK(is_users("std::ostream& app::operator<<(std::ostream&, app::Value const&)"));
  CHECK_FALSE(is_users("bool std::operator==<char>(std::string const&, char const*)"));
  CHECK_FALSE(is_users("std::function<void (int)>::operator()(int) const"));
}

TEST_CASE("clones, thunks and unnamed namespaces stay with their function", "[base][stack_trace]") {
  CHECK(is_users("(anonymous namespace)::helper(int) [clone .isra.0]"));
  CHECK(is_users("app::run(int) const [clone .cold]"));
  CHECK(is_users("non-virtual thunk to app::Server::run()"));
  CHECK_FALSE(is_users("std::thread::join() [clone .part.0]"));
  CHECK_FALSE(is_users("__libc_start_call_main"));
  CHECK_FALSE(is_users("start_thread"));
  CHECK(is_users("start_threads()"));
}

TEST_CASE("strings are written short in long names", "[base][stack_trace]") {
  const std::string text = to_text(
      {{frame("app::find(std::__cxx11::basic_string<char, std::char_traits<char>, "
              "std::allocator<char> > const&)")},
       ""});

  CHECK(text == "#0  app::find(std::string const&)  (program+0x1234)\n");
}

TEST_CASE("a name that is too long for a line loses its inside, not its ends",
          "[base][stack_trace]") {
  std::string parameters = "std::map<int, std::vector<app::VeryLongName, app::VeryLongAllocator> >";
  for (int times = 0; times < 3; ++times) parameters += ", " + parameters;

  const std::string text = to_text(
      {{frame("void app::Store<std::pair<int, std::pair<long, long> > >::save(" + parameters +
              ") const")},
       ""},
      "    ");

  CHECK(text == "    #0  void app::Store<...>::save(...) const  (program+0x1234)\n");
}

TEST_CASE("shortening leaves operators and unnamed namespaces whole", "[base][stack_trace]") {
  const std::string long_type = "app::" + std::string(120, 'x');

  const std::string name = "bool (anonymous namespace)::operator<< <" + long_type + ">(int)";

  const std::string text = to_text({{frame(name)}, ""});

  CHECK(text == "#0  bool (anonymous namespace)::operator<< <...>(int)  (program+0x1234)\n");
}

TEST_CASE("a name that is still too long loses the type it returns", "[base][stack_trace]") {
  const std::string result = "app::" + std::string(40, 'x');
  const std::string name = "app::" + std::string(40, 'y') + "::find";

  const std::string text = to_text({{frame(result + " " + name + "<int>(int)")}, ""});

  CHECK(text == "#0  " + name + "<...>(...)\n      (program+0x1234)\n");
}

TEST_CASE("every frame of a readable name fits into 80 columns", "[base][stack_trace]") {
  const std::string type = "app::Map<app::Key<int, long>, app::Value<std::pair<int, app::Name>>>";
  Frame known = frame("app::Index<" + type + ">::find(" + type + ", " + type + ")");
  known.file = "include/app/index/index.hpp";
  known.line = 1234;
  known.is_inlined = true;

  for (std::size_t indent = 0; indent < 30; ++indent) {
    std::istringstream lines{to_text({{known}, ""}, std::string(indent, ' '))};
    for (std::string line; std::getline(lines, line);) {
      CHECK(line.size() <= 80);
    }
  }
}

TEST_CASE("a note that does not fit goes below, broken between words", "[base][stack_trace]") {
  const std::string words(60, 'x');

  CHECK(to_text({{frame("main"), frame("_start")}, "taken while the thread was asleep"}) ==
        "#0  main  (program+0x1234)\n"
        "(1 frame of genserver, std and libc not shown;\n"
        "    taken while the thread was asleep)\n");
  CHECK(to_text({{}, words + " and " + words}, "  ") ==
        "  (no frames; " + words + " and\n      " + words + ")\n");
}

TEST_CASE("a file is shown without its folders", "[base][stack_trace]") {
  const Frame frame{1, "save()", "app", 1, "/home/me/app/src/save.cpp", 4, false};

  CHECK(to_text({{frame}, ""}) == "#0  save()  at save.cpp:4\n");
}

TEST_CASE("an inlined function without a namespace belongs where its file does",
          "[base][stack_trace]") {
  const std::string header = "/usr/include/genserver/core/server_core.hpp";

  CHECK(is_library_frame({1, "attempt(int)", "app", 1, header, 4, true}));
  CHECK(is_library_frame({1, "answer::operator()", "app", 1, header, 4, true}));
  CHECK(is_library_frame({1, "answer<app::Order>::operator()(int)", "app", 1, header, 4, true}));
  CHECK_FALSE(is_library_frame({1, "app::Run::operator()", "app", 1, header, 4, true}));
  CHECK_FALSE(is_library_frame({1, "attempt(int)", "app", 1, header, 4, false}));
  CHECK_FALSE(is_library_frame({1, "app::attempt(int)", "app", 1, header, 4, true}));
  CHECK_FALSE(is_library_frame({1, "attempt(int)", "app", 1, "/src/app.cpp", 4, true}));
}
