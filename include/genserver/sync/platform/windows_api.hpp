// SPDX-License-Identifier: BSL-1.0
// The functions of Windows that the library calls.
//
// Declared here as <windows.h> declares them, with which they can be in one program: that header
// makes macros of everyday words (small, near, ERROR), and which part of it is there depends on
// who includes it first. What is not in the import libraries that every linker takes by itself is
// looked up when it is first needed, so that the library asks for no linker option.
#pragma once

#if defined(_WIN32)

#include <cstddef>
#include <cstdint>

struct HINSTANCE__;
struct _CONTEXT;
struct _SECURITY_ATTRIBUTES;

namespace genserver::inline v0::platform::windows {

using Word = unsigned long;   // DWORD
using Handle = void*;         // HANDLE
using Module = HINSTANCE__*;  // HMODULE, which is where the module begins in memory
using Procedure = std::intptr_t(__stdcall*)();  // FARPROC

constexpr Word for_ever = 0xffffffff;  // INFINITE
constexpr Word utf8 = 65001;           // CP_UTF8

extern "C" {

__declspec(dllimport) int __stdcall CloseHandle(Handle handle);
__declspec(dllimport) int __stdcall DuplicateHandle(Handle from_process, Handle handle,
                                                    Handle to_process, Handle* copy, Word access,
                                                    int is_inherited, Word options);

__declspec(dllimport) Module __stdcall GetModuleHandleW(const wchar_t* name);
__declspec(dllimport) Procedure __stdcall GetProcAddress(Module module, const char* name);
__declspec(dllimport) int __stdcall MultiByteToWideChar(unsigned code_page, Word flags,
                                                        const char* text, int size, wchar_t* wide,
                                                        int wide_size);

__declspec(dllimport) Handle __stdcall GetCurrentProcess();
__declspec(dllimport) Handle __stdcall GetCurrentThread();

__declspec(dllimport) int __stdcall SetConsoleCtrlHandler(int(__stdcall* handler)(Word event),
                                                          int is_added);
__declspec(dllimport) void __stdcall Sleep(Word milliseconds);

}  // extern "C"

/// Returns `name` of a library that is loaded already; null if there is no such thing.
template <class Function>
Function* find_function(Module module, const char* name) noexcept {
  if (module == nullptr) return nullptr;
  // By way of a type that compilers do not compare with the other two.
  return reinterpret_cast<Function*>(reinterpret_cast<void (*)()>(GetProcAddress(module, name)));
}

/// Returns a function of the library that every program has: kernel32 passes most calls on to it.
template <class Function>
Function* find_function(const char* name) noexcept {
  return find_function<Function>(GetModuleHandleW(L"kernelbase.dll"), name);
}

}  // namespace genserver::v0::platform::windows

#endif
