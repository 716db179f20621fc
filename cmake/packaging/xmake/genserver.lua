-- Installs the sources that this file lies in. In xmake.lua:
--   includes("genserver/cmake/packaging/xmake/genserver.lua")
--   add_requires("genserver")
package("genserver")
    set_kind("library", {headeronly = true})
    set_description("Erlang's GenServer for C++20: an object that owns a thread, a state and a mailbox")
    set_license("BSL-1.0")
    set_sourcedir(path.join(os.scriptdir(), "..", "..", ".."))
    add_deps("fmt >=9")
    if is_plat("linux") then
        add_syslinks("pthread")
    end

    on_install(function (package)
        os.cp("include/genserver", package:installdir("include"))
    end)

    on_test(function (package)
        assert(package:check_cxxsnippets({test = [[
            int answer() {
                genserver::GenServer<int> server{{}, 42};
                return server.call([](int& n) { return n; });
            }
        ]]}, {configs = {languages = "c++20"}, includes = "genserver/genserver.hpp"}))
    end)
package_end()
