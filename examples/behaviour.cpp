// Servers whose methods are called by name: one that handles all names itself, one by a table.
#include <genserver/genserver.hpp>

#include <cstdio>
#include <map>
#include <stdexcept>
#include <string>

class Math : public genserver::Behaviour {
 public:
  std::any handle(std::string_view method, std::uint64_t, const std::any& body) override {
    if (method == "value") return value_;
    if (method == "+") return value_ += std::any_cast<int>(body), std::any{};
    if (method == "*") return value_ *= std::any_cast<int>(body), std::any{};
    throw std::invalid_argument{"there is no operation " + std::string{method}};
  }

 private:
  int value_ = 0;
};

struct Settings {
  std::string get(const std::string& name) const { return values.at(name); }
  void put(const std::string& name, const std::string& value) { values[name] = value; }
  std::map<std::string, std::string> values{};
};

int main() {
  const auto math = genserver::listen<Math>();
  math.cast("+", 2);
  math.cast("*", 21);
  std::printf("value: %d\n", math.call<int>("value"));
  try {
    math.call("%", 2);
  } catch (const std::invalid_argument& error) {
    std::printf("%s; the value is still %d\n", error.what(), math.call<int>("value"));
  }

  genserver::MethodTable<Settings> methods;
  methods.on("get", &Settings::get).on("put", &Settings::put);
  const auto settings = genserver::listen(methods);
  settings.call("put", std::tuple{std::string{"db.host"}, std::string{"localhost"}});
  auto host = settings.async_call<std::string>("get", "db.host");
  std::printf("db.host: %s\n", host.get().c_str());
  try {
    settings.call("get", 5432);
  } catch (const genserver::WrongBody& error) {
    std::printf("%s\n", error.what());
  }
}

// Output:
// value: 42
// there is no operation %; the value is still 42
// db.host: localhost
// "get" of Settings takes std::string, but was given int
