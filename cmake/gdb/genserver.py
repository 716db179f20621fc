# SPDX-License-Identifier: BSL-1.0
# Shows servers in gdb, of a live process or of a core dump.
#
#   (gdb) source /usr/share/genserver/gdb/genserver.py    once, or in ~/.gdbinit
#   (gdb) info genservers                                 all servers: what they do, and where
#   (gdb) info genservers stock                           those with this name or pid
#   (gdb) thread 3                                        the thread of one of them; then: bt
#   (gdb) print orders_                                   orders:2 (waiting) = {state = 7}
#
# The program needs debug information (-g). Nothing is called in it: everything is read from memory.
# A server may be in the midst of a change, so what it shows may be a moment old, or new.
import gdb
import gdb.printing


def unqualified(kind):
    """Returns a type without references, aliases and const."""
    kind = kind.strip_typedefs()
    if kind.code in (gdb.TYPE_CODE_REF, gdb.TYPE_CODE_RVALUE_REF):
        kind = kind.target()
    return kind.unqualified().strip_typedefs()


def atomic(value):
    """Returns what a std::atomic holds, whatever the standard library calls it."""
    held = unqualified(value.type).template_argument(0)
    return value.address.reinterpret_cast(held.pointer()).dereference()


def c_string(pointer):
    try:
        return pointer.string("utf-8", "replace") if int(pointer) != 0 else ""
    except gdb.error:
        return "?"


def std_string(value):
    """Returns a std::string. That of libstdc++ is a pointer and a length; clang does not always
    describe it."""
    if "__1::" in str(value.type.strip_typedefs()):
        return str(gdb.default_visualizer(value).to_string()).strip('"')
    address = value.address
    pointer = address.reinterpret_cast(gdb.lookup_type("char").pointer().pointer())
    length = address.reinterpret_cast(gdb.lookup_type("unsigned long").pointer())[1]
    if int(length) == 0:
        return ""
    return pointer.dereference().string("utf-8", "replace", length=int(length))


def shared_pointer(value):
    """Returns the plain pointer in a std::shared_ptr."""
    for name in ("_M_ptr", "__ptr_"):
        try:
            return value[name]
        except gdb.error:
            pass
    raise gdb.error("a std::shared_ptr of an unknown library")


def enumerator(value):
    """Returns an enumerator as words, without its scope: 'no server'."""
    return str(value).split("::")[-1].replace("_", " ")


def text_of_site(site):
    """Returns a CallSite, or the SharedCallSite of a record, as 'file:line in function'."""
    names = [field.name for field in unqualified(site.type).fields()]
    if "file_" in names:
        file, function, line = (atomic(site[name]) for name in ("file_", "function_", "line_"))
    else:
        file, function, line = (site[name] for name in ("file", "function", "line"))
    if int(line) == 0:
        return "an unknown place"
    name = c_string(file).replace("\\", "/").split("/")[-1]
    return "%s:%d in %s" % (name, int(line), c_string(function))


def text_of_reason(reason):
    text = enumerator(reason["kind_"])
    detail = shared_pointer(reason["detail_"])
    if int(detail) != 0:
        text += ": " + std_string(detail.dereference()["text"])
    return text


def text_of_identity(identity):
    return "%s:%d" % (std_string(identity["name"]), int(identity["pid"]["value_"]))


def is_set(one_shot):
    return int(atomic(one_shot["state_"])) == 2  # done, as in sync/one_shot.hpp


class Mailbox:
    """The numbers of a mailbox, by the layout of the word in sync/mailbox.hpp."""

    def __init__(self, mailbox):
        taken = int(atomic(mailbox["word_"])) >> 4
        self.size = (taken - int(atomic(mailbox["popped_"]))) & 0xFFFF
        self.capacity = int(mailbox["capacity_"])


class Record:
    """One server, by its record in the directory."""

    def __init__(self, record):
        self.record = record
        self.identity = record["identity_"]

    def exists(self):
        if int(self.identity) == 0:
            return False
        is_abandoned = enumerator(atomic(self.record["life_"])) == "abandoned"
        return is_abandoned or not bool(atomic(self.record["is_over_"]))

    def pid(self):
        return int(self.identity["pid"]["value_"])

    def label(self):
        return text_of_identity(self.identity) if int(self.identity) != 0 else "nobody"

    def wait(self):
        """Returns the word of the wait graph, or 0 if it waits for nobody."""
        word = int(atomic(self.record["wait_"]))
        return word if word & 1 else 0

    def is_handling(self):
        return int(atomic(self.record["turn_"])) % 2 == 1

    def activity(self):
        life = enumerator(atomic(self.record["life_"]))
        if life in ("stopping", "abandoned"):
            return life
        if self.wait():
            return "waiting"
        if life == "starting":
            return life
        if self.is_handling():
            return "running"
        # The lowest bit of the orders: ServerRecord::suspended.
        return "suspended" if int(atomic(self.record["orders_"])) & 1 else "idle"

    def thread(self):
        """Returns 'thread 3 (LWP 4711)', as far as it is known which thread runs the server."""
        shared = self.record["runner_" if self.is_handling() else "home_"]
        runner = atomic(shared["thread_"])
        if int(runner) == 0:
            return "no thread"
        incarnation = int(atomic(shared["incarnation_"]))
        if int(atomic(runner["incarnation_"])) != incarnation:
            return "a thread that has ended"
        try:
            number = int(runner["stack_"]["thread_"])
        except gdb.error:
            return "a thread"
        for thread in gdb.selected_inferior().threads():
            if number in thread.ptid[1:]:
                return "thread %d (LWP %d)" % (thread.num, number)
        return "LWP %d" % number

    def lines(self, directory):
        """Returns what is to be said of it."""
        mailbox = Mailbox(self.identity["mailbox"])
        yield "  %s is %s, mailbox %d of %d, %s" % (
            self.label(), self.activity(), mailbox.size, mailbox.capacity, self.thread())
        site = text_of_site(self.record["message_site_"])
        if self.is_handling() and site != "an unknown place":
            sender = directory.label(int(atomic(self.record["message_sender_"])))
            yield "    handles what was sent%s at %s" % (sender and " by " + sender, site)
        if self.wait():
            target = directory.record((self.wait() >> 1) & 0xFFFFFF)  # as in core/wait_graph.hpp
            yield "    waits for %s (%s at %s)" % (
                target.label(), enumerator(atomic(self.record["wait_kind_"])),
                text_of_site(self.record["wait_site_"]))


class Directory:
    """All records of the process, as core/directory.hpp keeps them."""

    def __init__(self):
        try:
            type_of_record = gdb.lookup_type("genserver::v0::ServerRecord")
            pointer = gdb.lookup_type("genserver::v0::Directory").pointer().pointer()
            place = gdb.parse_and_eval("&'genserver::v0::Directory::instance()::directory'")
        except gdb.error as error:
            raise gdb.GdbError("there are no servers here, or no debug information: %s" % error)
        # Where the type of the variable is known, it is a reference, which & looks through.
        if place.dynamic_type.target().code != gdb.TYPE_CODE_STRUCT:
            place = place.reinterpret_cast(pointer).dereference()
        self.directory = place.cast(pointer.target())
        self.chunks = None
        self.count = 0
        if int(self.directory) != 0:
            chunks = self.directory["chunks_"].address
            self.chunks = chunks.reinterpret_cast(type_of_record.pointer().pointer())
            self.count = int(atomic(self.directory["count_"]))

    def record(self, index):
        chunk = (index // 64 + 1).bit_length() - 1
        return Record(self.chunks[chunk][index - 64 * ((1 << chunk) - 1)])

    def servers(self):
        records = (self.record(index) for index in range(self.count))
        return sorted((record for record in records if record.exists()), key=Record.pid)

    def label(self, pid_bits):
        """Returns the name of the server with these lowest bits of its pid, or nothing."""
        for server in self.servers() if pid_bits else []:
            if server.pid() & 0xFFFFFFFF == pid_bits:
                return server.label()
        return ""


class InfoGenservers(gdb.Command):
    """List the servers of the genserver library: what each does, its mailbox and its thread.
With an argument, only those with this name or pid."""

    def __init__(self):
        super().__init__("info genservers", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        directory = Directory()
        servers = directory.servers()
        wanted = argument.strip()
        if wanted:
            servers = [server for server in servers
                       if wanted in (server.label(), *server.label().rsplit(":", 1))]
        print("%d server%s" % (len(servers), "" if len(servers) == 1 else "s"))
        for server in servers:
            try:
                for line in server.lines(directory):
                    print(line)
            except gdb.MemoryError as error:  # a core dump need not hold everything
                print("  a server that cannot be read: %s" % error)


def server_core(reference):
    """Returns the ServerCore* of any reference or owner."""
    return shared_pointer(reference["server_"])


def text_of_server(core):
    if int(core) == 0:
        return "no server"
    if is_set(core["end_"]["done_"]):
        how = "ended: " + text_of_reason(core["end_"]["reason_"])
    else:
        how = Record(core["record_"].referenced_value()).activity()
    return "%s (%s)" % (text_of_identity(core["identity_"]), how)


def state_of(core):
    """Returns the State of a server, if there is one."""
    if int(core) == 0 or not bool(core["has_state_"]):
        return None
    try:
        server = core.dereference().dynamic_type  # Server<State>, by its virtual functions
        return core.cast(server.pointer())["state_"]
    except gdb.error:
        return None


class ServerPrinter:
    """AnyRef, ServerRef and GenServer: who it is, how it is, and its State."""

    def __init__(self, value):
        self.core = server_core(value)

    def to_string(self):
        return text_of_server(self.core)

    def children(self):
        state = state_of(self.core)
        if state is not None:
            yield "state", state


class RequestPrinter:
    """Reply and Future: which call it belongs to, and how far that is."""

    def __init__(self, value):
        self.request = shared_pointer(value["request_"])

    def to_string(self):
        if int(self.request) == 0:
            return "no call"
        server = shared_pointer(self.request["server_"])
        done = is_set(self.request["done_"])
        return "call to %s at %s, %s" % (
            text_of_identity(server["identity_"]), text_of_site(self.request["site_"]),
            "answered" if done else enumerator(self.request["phase_"]))


class TextPrinter:
    """Whatever is a text."""

    def __init__(self, text):
        self.text = text

    def to_string(self):
        return self.text


def add_printers():
    printers = gdb.printing.RegexpCollectionPrettyPrinter("genserver")
    printers.add_printer("server", r"^genserver::v0::(AnyRef|ServerRef<.*>|GenServer<.*>)$",
                         ServerPrinter)
    printers.add_printer("request", r"^genserver::v0::(Reply|Future)<.*>$", RequestPrinter)
    printers.add_printer("reason", r"^genserver::v0::ExitReason$",
                         lambda value: TextPrinter(text_of_reason(value)))
    printers.add_printer("site", r"^genserver::v0::CallSite$",
                         lambda value: TextPrinter(text_of_site(value)))
    printers.add_printer("pid", r"^genserver::v0::Pid$",
                         lambda value: TextPrinter(str(int(value["value_"]))))
    gdb.printing.register_pretty_printer(None, printers, replace=True)


add_printers()
InfoGenservers()
