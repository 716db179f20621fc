// A key-value store that takes messages: State has one function for each type of message.
#include <genserver/genserver.hpp>

#include <cstdio>
#include <map>
#include <string>
#include <utility>

struct Get {
  std::string key;
};
struct Put {
  std::string key;
  std::string value;
};
struct MemoryIsLow {};

class Entries {
 public:
  std::string handle_call(const Get& get) const {  // asked with call
    const auto place = entries_.find(get.key);
    return place == entries_.end() ? "nothing" : place->second;
  }
  void handle_cast(Put put) {  // told with cast
    entries_[std::move(put.key)] = std::move(put.value);
  }
  void handle_info(MemoryIsLow) { entries_.clear(); }  // news from anywhere, sent with send

 private:
  std::map<std::string, std::string> entries_;
};

int main() {
  genserver::GenServer<Entries> store{{.name = "store"}};

  store.cast(Put{"colour", "blue"});
  store.cast(Put{"colour", "green"});
  std::printf("colour: %s\n", store.call(Get{"colour"}).c_str());

  store.send(MemoryIsLow{});
  std::printf("colour: %s\n", store.call(Get{"colour"}).c_str());
}

// Output:
// colour: green
// colour: nothing
