// Vectors of the instruction set that this file is compiled for, and the elementary functions over them.
//
// GCC's and clang's vector extensions carry all arithmetic; intrinsics stand only where they have no word for it
// (loads of part of a vector, stores past the cache, half precision). Everything is in an anonymous namespace,
// since each source is compiled once per instruction set into one library.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

#if defined(__AVX512F__)
constexpr int BYTES = 64;
#elif defined(__AVX2__)
constexpr int BYTES = 32;
#else
constexpr int BYTES = 16;
#endif

#define INLINED __attribute__((always_inline))
#define INLINE inline INLINED
#define NOT_INLINED __attribute__((noinline))

struct bf16 {
    uint16_t bits;
};
struct fp16 {
    uint16_t bits;
};

// what a stored type is computed in
template <class T>
struct ComputeOf {
    using type = float;
};
template <>
struct ComputeOf<double> {
    using type = double;
};
template <class T>
using Compute = typename ComputeOf<T>::type;

template <class Pointer>
struct PointeeOf;
template <class T>
struct PointeeOf<T*> {
    using type = T;
};
template <class Pointer>
using Pointee = typename PointeeOf<Pointer>::type;

template <class C>
struct VecOf;
template <>
struct VecOf<float> {
    typedef float type __attribute__((vector_size(BYTES)));
    typedef int32_t lane;
    typedef lane bits __attribute__((vector_size(BYTES)));
    typedef uint32_t unsigned_bits __attribute__((vector_size(BYTES)));
};
template <>
struct VecOf<double> {
    typedef double type __attribute__((vector_size(BYTES)));
    typedef int64_t lane;
    typedef lane bits __attribute__((vector_size(BYTES)));
    typedef uint64_t unsigned_bits __attribute__((vector_size(BYTES)));
};
template <class C>
using Vec = typename VecOf<C>::type;
template <class C>
using Bits = typename VecOf<C>::bits;
// whose arithmetic wraps around
template <class C>
using UnsignedBits = typename VecOf<C>::unsigned_bits;
template <class C>
using BitsLane = typename VecOf<C>::lane;
template <class C>
constexpr int LANES = BYTES / sizeof(C);

constexpr double INF = __builtin_inf();
constexpr double NOT_A_NUMBER = __builtin_nan("");

// ---- vectors ----

template <class C>
INLINE Vec<C> all(C value) {
    return value - Vec<C>{};
}

template <class C>
INLINE Vec<C> load(const C* from) {
    Vec<C> value;
    memcpy(&value, from, BYTES);
    return value;
}

template <class C>
INLINE void store(C* to, Vec<C> value) {
    memcpy(to, &value, BYTES);
}

// `to` is aligned to a whole vector
template <class C>
INLINE void store_past_the_cache(C* to, Vec<C> value) {
#if defined(__AVX512F__)
    _mm512_stream_si512((__m512i*)to, (__m512i)value);
#elif defined(__AVX2__)
    _mm256_stream_si256((__m256i*)to, (__m256i)value);
#elif defined(__SSE2__)
    _mm_stream_si128((__m128i*)to, (__m128i)value);
#else
    store(to, value);
#endif
}

// what was stored past the cache is there for every other thread
INLINE void finish_stores() {
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

// into the second cache, which has more lines underway than the first
INLINE void prefetch(const void* at) { __builtin_prefetch(at, 0, 2); }

// a where a > b, else b, so b where either is NaN; of numbers or of vectors, for which compilers have one instruction
template <class V>
INLINE V larger(V a, V b) {
    return a > b ? a : b;
}

// the first `count` lanes, 0 < count < LANES, and `fill` in the others
template <class C>
INLINE Vec<C> load_part(const C* from, int64_t count, C fill) {
#if defined(__AVX512F__)
    if constexpr (sizeof(C) == 4)
        return (Vec<C>)_mm512_mask_loadu_ps((__m512)all(fill), (__mmask16)((1u << count) - 1), from);
    else
        return (Vec<C>)_mm512_mask_loadu_pd((__m512d)all(fill), (__mmask8)((1u << count) - 1), from);
#elif defined(__AVX2__)
    if constexpr (sizeof(C) == 4) {
        const Bits<C> lane = {0, 1, 2, 3, 4, 5, 6, 7};
        const Bits<C> inside = lane < (Bits<C>{} + (int32_t)count);
        return inside ? (Vec<C>)_mm256_maskload_ps(from, (__m256i)inside) : all(fill);
    } else {
        const Bits<C> lane = {0, 1, 2, 3};
        const Bits<C> inside = lane < (Bits<C>{} + count);
        return inside ? (Vec<C>)_mm256_maskload_pd(from, (__m256i)inside) : all(fill);
    }
#else
    C lanes[LANES<C>];
    for (int lane = 0; lane < LANES<C>; ++lane) lanes[lane] = lane < count ? from[lane] : fill;
    return load(lanes);
#endif
}

template <class C>
INLINE void store_part(C* to, Vec<C> value, int64_t count) {
#if defined(__AVX512F__)
    if constexpr (sizeof(C) == 4)
        _mm512_mask_storeu_ps(to, (__mmask16)((1u << count) - 1), (__m512)value);
    else
        _mm512_mask_storeu_pd(to, (__mmask8)((1u << count) - 1), (__m512d)value);
#elif defined(__AVX2__)
    if constexpr (sizeof(C) == 4) {
        const Bits<C> lane = {0, 1, 2, 3, 4, 5, 6, 7};
        _mm256_maskstore_ps(to, (__m256i)(lane < (Bits<C>{} + (int32_t)count)), (__m256)value);
    } else {
        const Bits<C> lane = {0, 1, 2, 3};
        _mm256_maskstore_pd(to, (__m256i)(lane < (Bits<C>{} + count)), (__m256d)value);
    }
#else
    for (int lane = 0; lane < count; ++lane) to[lane] = value[lane];
#endif
}

// ---- lanes that are chosen, a bit for each ----

// those that are not below `bound`, as NaN is not
template <class C>
INLINE unsigned not_below(Vec<C> value, Vec<C> bound) {
#if defined(__AVX512F__)
    if constexpr (sizeof(C) == 4)
        return _mm512_cmp_ps_mask((__m512)value, (__m512)bound, _CMP_NLT_UQ);
    else
        return _mm512_cmp_pd_mask((__m512d)value, (__m512d)bound, _CMP_NLT_UQ);
#elif defined(__AVX2__)
    if constexpr (sizeof(C) == 4)
        return _mm256_movemask_ps(_mm256_cmp_ps((__m256)value, (__m256)bound, _CMP_NLT_UQ));
    else
        return _mm256_movemask_pd(_mm256_cmp_pd((__m256d)value, (__m256d)bound, _CMP_NLT_UQ));
#elif defined(__SSE2__)
    if constexpr (sizeof(C) == 4)
        return _mm_movemask_ps(_mm_cmpnlt_ps((__m128)value, (__m128)bound));
    else
        return _mm_movemask_pd(_mm_cmpnlt_pd((__m128d)value, (__m128d)bound));
#else
    unsigned lanes = 0;
    for (int lane = 0; lane < LANES<C>; ++lane) lanes |= (unsigned)!(value[lane] < bound[lane]) << lane;
    return lanes;
#endif
}

// Stores the chosen lanes one behind the other, and anything in the rest of a whole vector. How many were chosen.
template <class C>
INLINE int64_t store_chosen(C* to, Vec<C> value, unsigned lanes) {
#if defined(__AVX512F__)
    if constexpr (sizeof(C) == 4)
        store(to, (Vec<C>)_mm512_maskz_compress_ps((__mmask16)lanes, (__m512)value));
    else
        store(to, (Vec<C>)_mm512_maskz_compress_pd((__mmask8)lanes, (__m512d)value));
#else
    C from[LANES<C>];
    store(from, value);
    for (unsigned left = lanes; left; left &= left - 1) *to++ = from[__builtin_ctz(left)];
#endif
    return __builtin_popcount(lanes);
}

// ---- numbers as doubles, as many as a vector of those has ----

template <class C>
struct HalfOf {
    typedef C type __attribute__((vector_size(BYTES / 2)));
};
template <>
struct HalfOf<double> {
    using type = Vec<double>;
};
template <class C>
INLINE Vec<double> load_as_double(const C* from) {
    typename HalfOf<C>::type value;
    memcpy(&value, from, sizeof value);
    return __builtin_convertvector(value, Vec<double>);
}
template <class C>
INLINE void store_double_as(C* to, Vec<double> value) {
    const auto narrow = __builtin_convertvector(value, typename HalfOf<C>::type);
    memcpy(to, &narrow, sizeof narrow);
}

// ---- over the lanes, halves onto halves, so that the order is the same wherever a row lies ----

template <class C>
INLINE C sum_of_lanes(Vec<C> value) {
    C lanes[LANES<C>];
    store(lanes, value);
#pragma GCC unroll 4
    for (int half = LANES<C> / 2; half > 0; half /= 2)
#pragma GCC unroll 8
        for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
    return lanes[0];
}

template <class C>
INLINE C largest_of_lanes(Vec<C> value) {
    C lanes[LANES<C>];
    store(lanes, value);
#pragma GCC unroll 4
    for (int half = LANES<C> / 2; half > 0; half /= 2)
#pragma GCC unroll 8
        for (int lane = 0; lane < half; ++lane) lanes[lane] = larger(lanes[lane], lanes[lane + half]);
    return lanes[0];
}
#if defined(__AVX2__) || defined(__AVX512F__)
template <>
INLINE float sum_of_lanes<float>(Vec<float> value) {
#if defined(__AVX512F__)
    __m256 sum = _mm256_add_ps(_mm512_castps512_ps256((__m512)value), _mm512_extractf32x8_ps((__m512)value, 1));
#else
    __m256 sum = (__m256)value;
#endif
    __m128 low = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
    low = _mm_add_ps(low, _mm_movehl_ps(low, low));
    return _mm_cvtss_f32(_mm_add_ss(low, _mm_movehdup_ps(low)));
}
template <>
INLINE float largest_of_lanes<float>(Vec<float> value) {
#if defined(__AVX512F__)
    __m256 top = _mm256_max_ps(_mm512_castps512_ps256((__m512)value), _mm512_extractf32x8_ps((__m512)value, 1));
#else
    __m256 top = (__m256)value;
#endif
    __m128 low = _mm_max_ps(_mm256_castps256_ps128(top), _mm256_extractf128_ps(top, 1));
    low = _mm_max_ps(low, _mm_movehl_ps(low, low));
    return _mm_cvtss_f32(_mm_max_ss(low, _mm_movehdup_ps(low)));
}
template <>
INLINE double sum_of_lanes<double>(Vec<double> value) {
#if defined(__AVX512F__)
    __m256d sum = _mm256_add_pd(_mm512_castpd512_pd256((__m512d)value), _mm512_extractf64x4_pd((__m512d)value, 1));
#else
    __m256d sum = (__m256d)value;
#endif
    __m128d low = _mm_add_pd(_mm256_castpd256_pd128(sum), _mm256_extractf128_pd(sum, 1));
    return _mm_cvtsd_f64(_mm_add_sd(low, _mm_unpackhi_pd(low, low)));
}
template <>
INLINE double largest_of_lanes<double>(Vec<double> value) {
#if defined(__AVX512F__)
    __m256d top = _mm256_max_pd(_mm512_castpd512_pd256((__m512d)value), _mm512_extractf64x4_pd((__m512d)value, 1));
#else
    __m256d top = (__m256d)value;
#endif
    __m128d low = _mm_max_pd(_mm256_castpd256_pd128(top), _mm256_extractf128_pd(top, 1));
    return _mm_cvtsd_f64(_mm_max_sd(low, _mm_unpackhi_pd(low, low)));
}
#endif

// ---- a square of vectors: rows become columns ----

#if defined(__clang__)
template <class, int... LANE>
struct Lanes {
    template <int STEP, class V>
    static INLINE V lower(V a, V b) {
        return __builtin_shufflevector(a, b, (LANE & STEP ? LANE - STEP + (int)sizeof...(LANE) : LANE)...);
    }
    template <int STEP, class V>
    static INLINE V upper(V a, V b) {
        return __builtin_shufflevector(a, b, (LANE & STEP ? LANE + (int)sizeof...(LANE) : LANE + STEP)...);
    }
};
#else
template <class C>
INLINE Bits<C> lane_numbers() {
    if constexpr (LANES<C> == 16) return (Bits<C>){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    if constexpr (LANES<C> == 8) return (Bits<C>){0, 1, 2, 3, 4, 5, 6, 7};
    if constexpr (LANES<C> == 4) return (Bits<C>){0, 1, 2, 3};
    if constexpr (LANES<C> == 2) return (Bits<C>){0, 1};
}
#endif

// The upper half of every 2 STEP lanes of one row for the lower half of the row STEP behind it.
template <int STEP, class C>
INLINE void exchange(Vec<C> (&rows)[LANES<C>]) {
#pragma GCC unroll 16
    for (int row = 0; row < LANES<C>; ++row) {
        if (row & STEP) continue;
        const Vec<C> a = rows[row], b = rows[row + STEP];
#if defined(__clang__)
        using All = __make_integer_seq<Lanes, int, LANES<C>>;
        rows[row] = All::template lower<STEP>(a, b);
        rows[row + STEP] = All::template upper<STEP>(a, b);
#else
        const Bits<C> lane = lane_numbers<C>(), is_upper = (lane & STEP) != 0;
        rows[row] = __builtin_shuffle(a, b, is_upper ? lane - STEP + LANES<C> : lane);
        rows[row + STEP] = __builtin_shuffle(a, b, is_upper ? lane + LANES<C> : lane + STEP);
#endif
    }
}

template <class C>
INLINE void transpose(Vec<C> (&rows)[LANES<C>]) {
    if constexpr (LANES<C> > 8) exchange<8, C>(rows);
    if constexpr (LANES<C> > 4) exchange<4, C>(rows);
    if constexpr (LANES<C> > 2) exchange<2, C>(rows);
    exchange<1, C>(rows);
}

// ---- exp and log ----

// The coefficients from that of the highest power to the constant.
template <class V, class Number, class... Numbers>
INLINE V polynomial(V x, Number first, Numbers... others) {
    V value = first - V{};
    ((value = value * x + others), ...);
    return value;
}

// The polynomials are minimax fits (Remez) of what follows the first terms of the series; their own error is below
// 3.1e-9 and 3.7e-18 of the result for exp, 7.5e-10 and 2.5e-18 for log.

// e^r - 1 for |r| <= log(2) / 2
INLINE Vec<float> short_expm1(Vec<float> r) {
    const Vec<float> series = polynomial(r, 0.0013814594548132013895f, 0.0083687168471789230615f,
                                         0.041668388113343670472f, 0.16666520632184688933f, 0.4999999344758046035f);
    return series * (r * r) + r;
}
INLINE Vec<double> short_expm1(Vec<double> r) {
    const Vec<double> series = polynomial(r, 2.5000065640933666027e-8, 2.7630247994217181316e-7,
                                          2.7557586355300824144e-6, 0.000024801493100165902052,
                                          0.00019841269506607012425, 0.0013888888943628698753, 0.0083333333334944446412,
                                          0.041666666666530164707, 0.16666666666666412556, 0.50000000000000106263);
    return series * (r * r) + r;
}

// e^x for x <= 88 (709 in double); 0 below the smallest normal number, where a denormal would cost 150 cycles; NaN stays.
// The power of 2 is a factor: added to the bits of a NaN, the end of its payload could make a number of it.
// With SCALE the result is 2^SCALE e^x, and so much smaller x have one.
template <int SCALE = 0>
INLINE Vec<float> exp(Vec<float> x) {
    // 1.5 * 2^23 + 127: adding it rounds, and leaves an exponent's bits
    const Vec<float> to_integer = all(12583039.0f + SCALE);
    const Vec<float> shifted = x * 1.44269504088896341f + to_integer;
    const Vec<float> power = shifted - to_integer;
    Vec<float> r = x - power * 0.693145751953125f;  // log 2 in two parts, the first with zeros at its end
    r = r - power * 1.428606765330187045e-06f;
    const Vec<float> result = short_expm1(r) + 1.0f;
    const Vec<float> scaled = result * (Vec<float>)((Bits<float>)shifted << 23);
    return x < all(-87.3365447505531f - SCALE * 0.693147180559945309f) ? Vec<float>{} : scaled;
}

// The same to 1e-7 + 1.4e-8 |x| of the result, in fewer steps: for terms of a sum, of which those that count have small x,
// and for weights whose x is rounded as much.
template <int SCALE = 0>
INLINE Vec<float> quick_exp(Vec<float> x) {
    const Vec<float> to_integer = all(12583039.0f + SCALE);
    const Vec<float> shifted = x * 1.44269504088896341f + to_integer;
    const Vec<float> power = shifted - to_integer;
    const Vec<float> r = x * 1.44269504088896341f - power;
    // 2^r, a minimax fit to 2.6e-9 that is 1 at 0
    const Vec<float> series = polynomial(r, 0.00015369621031232762f, 0.0013401201122807683f, 0.0096183785675149486f,
                                         0.055503244682266687f, 0.2402264840562916f, 0.69314720889700931f);
    const Vec<float> result = series * r + 1.0f, least = all(-87.3365447505531f - SCALE * 0.693147180559945309f);
#if defined(__AVX512F__)
    const __mmask16 counts = _mm512_cmp_ps_mask((__m512)x, (__m512)least, _CMP_NLT_UQ);
    return (Vec<float>)_mm512_maskz_scalef_ps(counts, (__m512)result, (__m512)(power + (float)SCALE));
#else
    return x < least ? Vec<float>{} : result * (Vec<float>)((Bits<float>)shifted << 23);
#endif
}

template <int SCALE = 0>
INLINE Vec<double> exp(Vec<double> x) {
    const Vec<double> to_integer = all(6755399441056767.0 + SCALE);  // 1.5 * 2^52 + 1023
    const Vec<double> shifted = x * 1.44269504088896341 + to_integer;
    const Vec<double> power = shifted - to_integer;
    Vec<double> r = x - power * 0.69314718055966295651160180568695068359375;
    r = r - power * 2.8235290563031577122588448175013436025525412068e-13;
    const Vec<double> result = short_expm1(r) + 1.0;
    const Vec<double> scaled = result * (Vec<double>)((Bits<double>)shifted << 52);
    return x < all(-708.3964185322641 - SCALE * 0.693147180559945309) ? Vec<double>{} : scaled;
}

template <int SCALE = 0>
INLINE Vec<double> quick_exp(Vec<double> x) {
    return exp<SCALE>(x);
}

// e^x - 1 with all its digits where x is small; no number, infinity or NaN, where e^x is too large for one. NaN stays.
INLINE Vec<float> expm1(Vec<float> x) {
    const Vec<float> to_integer = all(12583039.0f);
    x = larger(all(-87.0f), x);
    x = x > all(89.0f) ? all(89.0f) : x;
    const Vec<float> shifted = x * 1.44269504088896341f + to_integer;
    const Vec<float> power = shifted - to_integer;
    const Vec<float> r = (x - power * 0.693145751953125f) - power * 1.428606765330187045e-06f;
    const Vec<float> scale = (Vec<float>)((Bits<float>)shifted << 23);
    return short_expm1(r) * scale + (scale - 1.0f);
}

INLINE Vec<double> expm1(Vec<double> x) {
    const Vec<double> to_integer = all(6755399441056767.0);
    x = larger(all(-708.0), x);
    x = x > all(710.0) ? all(710.0) : x;
    const Vec<double> shifted = x * 1.44269504088896341 + to_integer;
    const Vec<double> power = shifted - to_integer;
    const Vec<double> r = (x - power * 0.69314718055966295651160180568695068359375) -
                          power * 2.8235290563031577122588448175013436025525412068e-13;
    const Vec<double> scale = (Vec<double>)((Bits<double>)shifted << 52);
    return short_expm1(r) * scale + (scale - 1.0);
}

// log x for normal x > 0, from x = 2^power * (1 + f) with 1 + f between the roots of 1/2 and 2; the caller answers for
// every other
INLINE Vec<float> log(Vec<float> x) {
    const Bits<float> offset = Bits<float>{} + 0x3f3504f3;  // the bits of sqrt(1/2)
    const Bits<float> moved = (Bits<float>)((UnsignedBits<float>)x - (UnsignedBits<float>)offset);
    const Vec<float> power = __builtin_convertvector(moved >> 23, Vec<float>);
    const Vec<float> f = (Vec<float>)((moved & 0x007fffff) + offset) - 1.0f;
    const Vec<float> series = polynomial(f, 0.067466634031164839831f, -0.11675640196691229208f, 0.11888145051776013023f,
                                         -0.12405589581936762042f, 0.14219554878012369724f, -0.16667995933686705568f,
                                         0.20002118536975462423f, -0.25000009595365900675f, 0.33333312605679820072f);
    const Vec<float> square = f * f;
    const Vec<float> tail = series * (square * f) + power * -2.12194440e-4f;
    return (f + (tail - 0.5f * square)) + power * 0.693359375f;
}

INLINE Vec<double> log(Vec<double> x) {
    const Bits<double> offset = Bits<double>{} + 0x3fe6a09e667f3bcd;
    const Bits<double> moved = (Bits<double>)((UnsignedBits<double>)x - (UnsignedBits<double>)offset);
    const Vec<double> power = __builtin_convertvector(moved >> 52, Vec<double>);
    const Vec<double> f = (Vec<double>)((moved & 0x000fffffffffffff) + offset) - 1.0;
    const Vec<double> s = f / (f + 2.0);
    const Vec<double> z = s * s;
    const Vec<double> series = polynomial(z, 0.14795953212110035004, 0.15314050185800790821, 0.18183564341479509672,
                                          0.2222219857285487773, 0.28571428742391409398, 0.39999999999414656553,
                                          0.66666666666667344171);
    // log(1 + f) = 2s + s^3 R(s^2) = f - s (f - s^2 R(s^2)), of which the second form keeps the digits of f
    const Vec<double> tail = s * (f - z * series) - power * 1.90821492927058770002e-10;
    return (f - tail) + power * 0.693147180369123816490;
}

// log of any number, as the C library answers
template <class C>
INLINE C log_of(C x) {
    if (!(x > 0)) return x == 0 ? -(C)INF : (C)NOT_A_NUMBER;
    if (x == (C)INF) return x;
    // a denormal number is scaled by 2^64 first
    const C smallest = sizeof(C) == 4 ? (C)1.17549435e-38 : (C)2.2250738585072014e-308;
    if (x < smallest) return log(all(x * (C)18446744073709551616.0))[0] - (C)44.361419555836499803;
    return log(all(x))[0];
}
template <class C>
INLINE C exp_of(C x) {
    return exp(all(x))[0];
}

template <class C>
INLINE Vec<C> square_root(Vec<C> x) {
#if defined(__AVX512F__)
    if constexpr (sizeof(C) == 4)
        return (Vec<C>)_mm512_sqrt_ps((__m512)x);
    else
        return (Vec<C>)_mm512_sqrt_pd((__m512d)x);
#elif defined(__AVX2__)
    if constexpr (sizeof(C) == 4)
        return (Vec<C>)_mm256_sqrt_ps((__m256)x);
    else
        return (Vec<C>)_mm256_sqrt_pd((__m256d)x);
#elif defined(__SSE2__)
    if constexpr (sizeof(C) == 4)
        return (Vec<C>)_mm_sqrt_ps((__m128)x);
    else
        return (Vec<C>)_mm_sqrt_pd((__m128d)x);
#else
    for (int lane = 0; lane < LANES<C>; ++lane) x[lane] = (C)__builtin_sqrt(x[lane]);
    return x;
#endif
}

// a / b to two units in the last place, where 1 / b is a normal number: of a vector of 64 bytes a quotient takes as long
// as ten products
template <class C>
INLINE Vec<C> ratio(Vec<C> a, Vec<C> b) {
#if defined(__AVX512F__)
    if constexpr (sizeof(C) == 4) {
        const Vec<C> rough = (Vec<C>)_mm512_rcp14_ps((__m512)b);
        return a * (rough + rough * (1.0f - b * rough));
    }
#endif
    return a / b;
}

// ---- stored types: float and double as they are, halves widened to float ----

INLINE float widened(bf16 value) {
    const uint32_t bits = (uint32_t)value.bits << 16;
    float result;
    memcpy(&result, &bits, 4);
    return result;
}
INLINE float widened(fp16 value) {
#if defined(__F16C__)
    return _cvtsh_ss(value.bits);
#else
    // the exponent moves by 112 as a product, which makes the denormal numbers right too
    const uint32_t magnitude = (uint32_t)(value.bits & 0x7fff) << 13, sign = (uint32_t)(value.bits & 0x8000) << 16;
    uint32_t bits = magnitude;
    float result;
    memcpy(&result, &bits, 4);
    result *= 5.192296858534828e33f;  // 2^112
    memcpy(&bits, &result, 4);
    if (magnitude >= 0x0f800000) bits = magnitude | 0x7f800000;  // infinity and NaN
    bits |= sign;
    memcpy(&result, &bits, 4);
    return result;
#endif
}
INLINE float widened(float value) { return value; }
INLINE double widened(double value) { return value; }

template <class T>
INLINE T narrowed(Compute<T> value);
template <>
INLINE float narrowed<float>(float value) {
    return value;
}
template <>
INLINE double narrowed<double>(double value) {
    return value;
}
template <>
INLINE bf16 narrowed<bf16>(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    if (value != value) return {(uint16_t)((bits >> 16) | 0x40)};
    return {(uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};  // to nearest, ties to even
}
template <>
INLINE fp16 narrowed<fp16>(float value) {
#if defined(__F16C__)
    return {(uint16_t)_cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT)};
#else
    uint32_t bits;
    memcpy(&bits, &value, 4);
    const uint16_t sign = (uint16_t)((bits >> 16) & 0x8000);
    bits &= 0x7fffffff;
    if (bits > 0x7f800000) return {(uint16_t)(sign | 0x7e00)};
    if (bits >= 0x477ff000) return {(uint16_t)(sign | 0x7c00)};  // rounds to 65536 or more
    if (bits < 0x38800000) {
        // below 2^-14: adding 1/2 leaves the result's bits at the end
        float magnitude;
        memcpy(&magnitude, &bits, 4);
        magnitude += 0.5f;
        memcpy(&bits, &magnitude, 4);
        return {(uint16_t)(sign | (bits - 0x3f000000))};
    }
    return {(uint16_t)(sign | ((bits - 0x38000000 + 0xfff + ((bits >> 13) & 1)) >> 13))};
#endif
}

// a vector of what is stored from `from` on
template <class T>
INLINE Vec<Compute<T>> load_as(const T* from) {
    if constexpr (sizeof(T) == sizeof(Compute<T>)) {
        return load(from);
    } else {
#if defined(__AVX512F__)
        const __m256i half = _mm256_loadu_si256((const __m256i*)from);
        if constexpr (__is_same(T, fp16)) return (Vec<float>)_mm512_cvtph_ps(half);
        return (Vec<float>)_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16);
#elif defined(__AVX2__) && defined(__F16C__)
        const __m128i half = _mm_loadu_si128((const __m128i*)from);
        if constexpr (__is_same(T, fp16)) return (Vec<float>)_mm256_cvtph_ps(half);
        return (Vec<float>)_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16);
#else
        float lanes[LANES<float>];
        for (int lane = 0; lane < LANES<float>; ++lane) lanes[lane] = widened(from[lane]);
        return load(lanes);
#endif
    }
}

template <class T>
INLINE void store_as(T* to, Vec<Compute<T>> value) {
    if constexpr (sizeof(T) == sizeof(Compute<T>)) {
        store(to, value);
    } else {
#if defined(__AVX512F__)
        __m256i half;
        if constexpr (__is_same(T, fp16)) {
            half = _mm512_cvtps_ph((__m512)value, _MM_FROUND_TO_NEAREST_INT);
        } else {
            const __m512i bits = (__m512i)value, tie = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
            const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(tie, _mm512_set1_epi32(0x7fff)));
            const __mmask16 nan = _mm512_cmp_ps_mask((__m512)value, (__m512)value, _CMP_UNORD_Q);
            half = _mm512_cvtepi32_epi16(_mm512_srli_epi32(
                _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000)), 16));
        }
        _mm256_storeu_si256((__m256i*)to, half);
#elif defined(__AVX2__) && defined(__F16C__)
        __m128i half;
        if constexpr (__is_same(T, fp16)) {
            half = _mm256_cvtps_ph((__m256)value, _MM_FROUND_TO_NEAREST_INT);
        } else {
            const __m256i bits = (__m256i)value, tie = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
            const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(tie, _mm256_set1_epi32(0x7fff)));
            const __m256i nan = (__m256i)_mm256_cmp_ps((__m256)value, (__m256)value, _CMP_UNORD_Q);
            const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
            const __m256i high = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
            half = _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
        }
        _mm_storeu_si128((__m128i*)to, half);
#else
        for (int lane = 0; lane < LANES<float>; ++lane) to[lane] = narrowed<T>(value[lane]);
#endif
    }
}

template <class T>
INLINE Vec<Compute<T>> load_part_as(const T* from, int64_t count, Compute<T> fill) {
    using C = Compute<T>;
    if constexpr (sizeof(T) == sizeof(C)) {
        return load_part(from, count, fill);
    } else {
        C lanes[LANES<C>];
        store(lanes, all(fill));
        for (int lane = 0; lane < count; ++lane) lanes[lane] = widened(from[lane]);
        return load(lanes);
    }
}

template <class T>
INLINE void store_part_as(T* to, Vec<Compute<T>> value, int64_t count) {
    using C = Compute<T>;
    if constexpr (sizeof(T) == sizeof(C)) {
        store_part(to, value, count);
    } else {
        C lanes[LANES<C>];
        store(lanes, value);
        for (int lane = 0; lane < count; ++lane) to[lane] = narrowed<T>(lanes[lane]);
    }
}

}  // namespace
