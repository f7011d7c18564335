// The random words of random.py.

#include "native/call.h"
#include "native/philox.h"

namespace {

// words at a time, which stay in the first cache
constexpr int64_t BLOCK = 1024;

// (seeds, count): the words 0 .. count under each seed
const char* random_words(Call& call) {
    const Tensor seeds = call.tensor(0);
    const int64_t count = call.integer(1), sizes[] = {seeds.numel(), count}, strides[] = {count, 1};
    const Tensor result = call.result(2, sizes, strides, aoti_torch_dtype_int64());
    if (!result.handle) return NO_MEMORY;
    const int64_t blocks = (count + BLOCK - 1) / BLOCK;
    return in_parallel(sizes[0] * blocks, 32, [&](int64_t first, int64_t last) {
        for (int64_t unit = first; unit < last; ++unit) {
            const int64_t start = unit % blocks * BLOCK, size = count - start < BLOCK ? count - start : BLOCK;
            const Philox philox(seeds.at<uint64_t>()[unit / blocks]);
            uint32_t words[BLOCK];
            philox.run((uint64_t)start, size, words);
            int64_t* const to = result.at<int64_t>() + unit / blocks * count + start;
            for (int64_t at = 0; at < size; ++at) to[at] = words[at];
        }
        return true;
    });
}

}  // namespace

#define PASTE(a, b) a##b
#define NAMED(a, b) PASTE(a, b)

extern "C" __attribute__((visibility("hidden"))) int32_t NAMED(anymax_random_, ISA)(LibraryHandle library) {
    return torch_library_impl(library, "anymax::random_words", boxed<random_words>, TORCH_VERSION);
}
