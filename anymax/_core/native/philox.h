// Random words that depend on a seed and an index alone: Philox4x32-10, as _core/random.py defines it.
#pragma once

#include "vec.h"

namespace {

// A block of the cipher is four words. It is worked on in lanes of 64 bits, of which the lower half counts: that is what
// a product of 32 bits takes and gives.
constexpr int WORDS_OF_BLOCK = 4;
constexpr int PHILOX_LANES = BYTES / 8;
// vectors at once, which hide how long a product takes
#if defined(__AVX512F__)
constexpr int PHILOX_VECTORS = 4;
#else
constexpr int PHILOX_VECTORS = 2;
#endif
// Words are made so many at a time.
constexpr int64_t WORDS_AT_ONCE = PHILOX_VECTORS * PHILOX_LANES * WORDS_OF_BLOCK;

typedef uint64_t Wide __attribute__((vector_size(BYTES)));
typedef uint32_t Words __attribute__((vector_size(BYTES)));

// the lower halves of lanes times a factor
INLINE Wide product(Wide a, Wide factor) {
#if defined(__AVX512F__)
    return (Wide)_mm512_mul_epu32((__m512i)a, (__m512i)factor);
#elif defined(__AVX2__)
    return (Wide)_mm256_mul_epu32((__m256i)a, (__m256i)factor);
#elif defined(__SSE2__)
    return (Wide)_mm_mul_epu32((__m128i)a, (__m128i)factor);
#else
    return (a & 0xffffffff) * factor;
#endif
}

INLINE Wide exclusive_or(Wide a, Wide b, Wide c) {
#if defined(__AVX512F__)
    return (Wide)_mm512_ternarylogic_epi64((__m512i)a, (__m512i)b, (__m512i)c, 0x96);
#else
    return a ^ b ^ c;
#endif
}

// the upper halves of lanes, and anything above them; not as a shift, of which a vector of 64 bytes has one unit, as the
// product has
INLINE Wide upper_halves(Wide a) {
#if defined(__AVX512F__)
    return (Wide)_mm512_shuffle_epi32((__m512i)a, (_MM_PERM_ENUM)0xf5);
#else
    return a >> 32;
#endif
}

class Philox {
   public:
    explicit Philox(uint64_t seed) {
        uint32_t low = (uint32_t)seed, high = (uint32_t)(seed >> 32);
        for (int round = 0; round < ROUNDS; ++round) {
            low_keys_[round] = Wide{} + low;
            high_keys_[round] = Wide{} + high;
            low += 0x9E3779B9u;
            high += 0xBB67AE85u;
        }
    }

    // The words `first` and on, at least `count`; `first` is a multiple of 4, and in `to` is room for the next multiple
    // of WORDS_AT_ONCE.
    NOT_INLINED void run(uint64_t first, int64_t count, uint32_t* to) const {
        // Blocks j and j + PHILOX_LANES / 2 are neighbours in a vector, so that the words of all blocks are in order
        // once the halves of each pair of lanes are put together.
        Wide counter;
        for (int lane = 0; lane < PHILOX_LANES; ++lane)
            counter[lane] = first / WORDS_OF_BLOCK + (uint64_t)(lane / 2 + lane % 2 * (PHILOX_LANES / 2));
        for (int64_t at = 0; at < count; at += WORDS_AT_ONCE) {
            Wide a[PHILOX_VECTORS], b[PHILOX_VECTORS], c[PHILOX_VECTORS], d[PHILOX_VECTORS];
            for (int part = 0; part < PHILOX_VECTORS; ++part, counter += PHILOX_LANES) {
                a[part] = counter;
                b[part] = counter >> 32;
                c[part] = d[part] = Wide{};
            }
            cipher<PHILOX_VECTORS>(a, b, c, d);
#pragma GCC unroll 4
            for (int part = 0; part < PHILOX_VECTORS; ++part) {
                const Wide front = joined(a[part], b[part]), back = joined(c[part], d[part]);
                uint32_t* const place = to + at + part * PHILOX_LANES * WORDS_OF_BLOCK;
                put(place, evens(front, back));
                put(place + PHILOX_LANES * WORDS_OF_BLOCK / 2, odds(front, back));
            }
        }
    }

    // The words of any `count` indices; in `to` is room for the next multiple of PHILOX_LANES, and `indices` has as many.
    NOT_INLINED void pick(const int64_t* indices, int64_t count, uint32_t* to) const {
        for (int64_t at = 0; at < count; at += PHILOX_LANES) {
            Wide index;
            memcpy(&index, indices + at, BYTES);
            const Wide counter = index / WORDS_OF_BLOCK;
            Wide words[4][1] = {{counter}, {counter >> 32}, {Wide{}}, {Wide{}}};
            cipher<1>(words[0], words[1], words[2], words[3]);
            for (int lane = 0; lane < PHILOX_LANES; ++lane)
                to[at + lane] = (uint32_t)words[index[lane] % WORDS_OF_BLOCK][0][lane];
        }
    }

   private:
    static constexpr int ROUNDS = 10;

    template <int VECTORS>
    INLINE void cipher(Wide (&a)[VECTORS], Wide (&b)[VECTORS], Wide (&c)[VECTORS], Wide (&d)[VECTORS]) const {
        const Wide one = Wide{} + 0xD2511F53u, other = Wide{} + 0xCD9E8D57u;
#pragma GCC unroll 10
        for (int round = 0; round < ROUNDS; ++round) {
            const Wide low_key = low_keys_[round], high_key = high_keys_[round];
#pragma GCC unroll 4
            for (int part = 0; part < VECTORS; ++part) {
                const Wide first = product(a[part], one), second = product(c[part], other);
                a[part] = exclusive_or(upper_halves(second), b[part], low_key);
                b[part] = second;
                c[part] = exclusive_or(first >> 32, d[part], high_key);
                d[part] = first;
            }
        }
    }

    // the lower halves of the lanes of two vectors, as halves of lanes
    static INLINE Wide joined(Wide low, Wide high) { return (low & 0xffffffff) | high << 32; }

    // lanes 0, 2, 4, ... of two vectors in turn, and lanes 1, 3, 5, ...
    static INLINE Wide evens(Wide front, Wide back) {
#if defined(__AVX512F__)
        return (Wide)_mm512_unpacklo_epi64((__m512i)front, (__m512i)back);
#elif defined(__AVX2__)
        return (Wide)_mm256_unpacklo_epi64((__m256i)front, (__m256i)back);
#else
        return Wide{front[0], back[0]};
#endif
    }
    static INLINE Wide odds(Wide front, Wide back) {
#if defined(__AVX512F__)
        return (Wide)_mm512_unpackhi_epi64((__m512i)front, (__m512i)back);
#elif defined(__AVX2__)
        return (Wide)_mm256_unpackhi_epi64((__m256i)front, (__m256i)back);
#else
        return Wide{front[1], back[1]};
#endif
    }
    static INLINE void put(uint32_t* to, Wide words) { memcpy(to, &words, BYTES); }

    Wide low_keys_[ROUNDS], high_keys_[ROUNDS];
};

// Words in rising order of their indices, each made once. What is behind the last of `end` may never be made.
class WordStream {
   public:
    static constexpr int64_t MOST = 1024;

    WordStream(const Philox& philox, int64_t end) : philox_(philox), end_(end) {}

    // the words from `index` on, MOST at most
    const uint32_t* at(int64_t index, int64_t count) {
        if (index >= first_ && index + count <= last_) return words_ + (index - first_);
        const int64_t start = index / WORDS_OF_BLOCK * WORDS_OF_BLOCK;
        const int64_t kept = start >= first_ && start < last_ ? last_ - start : 0;
        memmove(words_, words_ + (last_ - first_ - kept), kept * sizeof(uint32_t));
        const int64_t next = start + kept, rest = (end_ - next + WORDS_AT_ONCE - 1) / WORDS_AT_ONCE * WORDS_AT_ONCE;
        const int64_t wanted = kept ? MOST : MOST + WORDS_AT_ONCE, made = rest < wanted ? rest : wanted;
        philox_.run((uint64_t)next, made, words_ + kept);
        first_ = start;
        last_ = next + made;
        return words_ + (index - first_);
    }

   private:
    const Philox& philox_;
    const int64_t end_;
    int64_t first_ = 0, last_ = 0;
    alignas(BYTES) uint32_t words_[2 * MOST + WORDS_AT_ONCE + WORDS_OF_BLOCK];
};

}  // namespace
