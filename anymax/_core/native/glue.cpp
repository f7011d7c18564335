// Picks the instruction set and hands its kernels to torch. The build names the families and the instruction sets, in
// rising order, in kernels.inc: see hatch_build.py.

#include <stdint.h>

#include "torch_abi.h"
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define EXPORTED extern "C" __attribute__((visibility("default")))

namespace {

#if defined(__x86_64__)
// what the instruction sets x86-64-v2, -v3 and -v4 ask of the processor, and the system of its registers; asked here,
// since __builtin_cpu_supports of a library linked by zig answers no to everything
bool supports(char level) {
    unsigned a, b, c, d, b7 = 0, c1, extended = 0;
    if (!__get_cpuid(1, &a, &b, &c1, &d)) return false;
    __get_cpuid_count(7, 0, &a, &b7, &c, &d);
    __get_cpuid(0x80000001, &a, &b, &extended, &d);
    const auto has = [](unsigned bits, unsigned wanted) { return (bits & wanted) == wanted; };
    if (level == '2') return has(c1, bit_SSE3 | bit_SSSE3 | bit_SSE4_1 | bit_SSE4_2 | bit_POPCNT);
    if (!has(c1, bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C | bit_MOVBE)) return false;
    if (!has(b7, bit_AVX2 | bit_BMI | bit_BMI2) || !has(extended, bit_LZCNT)) return false;
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if (level == '3') return has(low, 0x6);
    return has(low, 0xe6) && has(b7, bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL);
}
#else
bool supports(char) { return true; }
#endif

struct Level {
    const char* name;
    int32_t (*add)(LibraryHandle library);
};

}  // namespace

// extern "C" int32_t anymax_softmax_v3(LibraryHandle); ... and LEVELS, a table of Level; written by the build
#include "kernels.inc"

namespace {

const Level* level_named(const char* name) {
    const Level* best = nullptr;
    for (const Level& level : LEVELS) {
        if (!supports(level.name[1])) continue;
        const char *a = level.name, *b = name;
        while (*a && *a == *b) ++a, ++b;
        if (!*name || *a == *b) best = &level;
    }
    return best;
}

}  // namespace

// The compiler that built this library.
EXPORTED const char* anymax_compiler() { return COMPILER; }

// The instruction sets that this library has and the processor too, separated by spaces.
EXPORTED const char* anymax_levels() {
    static char names[64];
    char* end = names;
    for (const Level& level : LEVELS) {
        if (!supports(level.name[1])) continue;
        if (end > names) *end++ = ' ';
        for (const char* letter = level.name; *letter; ++letter) *end++ = *letter;
    }
    *end = 0;
    return names;
}

// Hand the kernels of an instruction set (the best one for "") to torch. Its name, or nullptr where that failed.
EXPORTED const char* anymax_register(const char* name) {
    static LibraryHandle library = nullptr;
    const Level* level = level_named(name);
    if (!level || library) return nullptr;
    if (aoti_torch_library_init_impl("anymax", "CPU", "glue.cpp", __LINE__, &library) != 0) return nullptr;
    return level->add(library) == 0 ? level->name : nullptr;
}
