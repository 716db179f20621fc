// SPDX-License-Identifier: BSL-1.0
// A method of a table does not change what it is given.
#include <genserver/genserver.hpp>

struct Store {
  void read(const int& value);
  void change(int& value);
};

void use() {
  genserver::MethodTable<Store> methods;
  methods.on("read", &Store::read);
#ifdef GENSERVER_MUST_FAIL
  methods.on("change", &Store::change);
#endif
}

// error: it takes its values by value or by reference to const
