// A key-value store whose buckets are servers with names; it reads commands and says how it went.
#include <genserver/genserver.hpp>

#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>

struct Bucket {
  std::string get(const std::string& key) const {
    const auto found = items.find(key);
    return found == items.end() ? "no " + key : found->second;
  }
  std::map<std::string, std::string> items{};
};

class Store {
 public:
  std::string run(const std::string& command, const std::string& name, const std::string& key,
                  const std::string& value) {
    if (name.empty()) return command + " needs the name of a bucket";
    if (command == "CREATE") return create(name);
    const auto bucket = names_.whereis(name);
    if (!bucket) return "there is no bucket \"" + name + "\"";
    if (command == "CLOSE") return bucket->stop(), "ok";  // its name leaves by itself
    if (key.empty()) return command + " needs a key";
    if (command == "GET") return bucket->call([&](const Bucket& b) { return b.get(key); });
    if (command == "DELETE") return bucket->call([&](Bucket& b) { b.items.erase(key); }), "ok";
    if (command != "PUT") return "\"" + command + "\" is not CREATE, PUT, GET, DELETE or CLOSE";
    if (value.empty()) return "PUT needs a value";
    return bucket->call([&](Bucket& b) { b.items[key] = value; }), "ok";
  }

 private:
  std::string create(const std::string& name) try {
    auto bucket = std::make_unique<genserver::GenServer<Bucket>>(genserver::Options{.name = name});
    names_.register_name(name, *bucket);
    return buckets_[name] = std::move(bucket), "ok";
  } catch (const genserver::NameTaken& taken) {
    return taken.what();
  }

  genserver::Registry<Bucket> names_{};
  std::map<std::string, std::unique_ptr<genserver::GenServer<Bucket>>> buckets_{};
};

int main() {
  Store store;
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words{line};
    std::string command, name, key, value;
    words >> command >> name >> key >> value;
    if (!command.empty()) std::cout << store.run(command, name, key, value) << std::endl;
  }
}

// Input:
// CREATE shopping
// PUT shopping milk 1
// GET shopping milk
// CREATE shopping
// PUT shopping eggs
// SELL shopping milk
// CLOSE shopping
// GET shopping milk
// Output:
// ok
// ok
// 1
// "shopping" cannot be given to shopping:2 at registry.cpp:... in create: shopping:1 has it
// PUT needs a value
// "SELL" is not CREATE, PUT, GET, DELETE or CLOSE
// ok
// there is no bucket "shopping"
