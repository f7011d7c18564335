// relumax, softpick and taylor_softmax, forward and backward. Formulas: api.py. The definition: reference.py.
//
// With terms s_i the result is max(s_i, 0) / sum of |s_j|. One read of a row gives its terms and their sum. A row whose sum
// is 0, very large or no number is odd: it is computed once more, alone, and with smaller terms where it was their size.
// The order of every sum follows from the length of the row alone.

#include "../../_core/native/rows.h"

namespace {

enum Kind { RELUMAX, SOFTPICK, TAYLOR_SOFTMAX };
enum Flag { HAS_MASK = 1 };

// Terms of a column that are added up before they join its sum.
constexpr int64_t LINES = 8;

template <class C>
constexpr C LARGE_SUM = sizeof(C) == 4 ? (C)0x1p100 : (C)0x1p1000;

template <class C>
bool is_odd(C sum) {
    return !(sum > 0 && sum <= LARGE_SUM<C>);
}

// ---- the terms s of vectors of scores x ----
//
// `term` is 0 for -inf, which is what does not take part. `slope` is what the gradient is a multiple of: s' (g - G) where
// s > 0, and s' G where s < 0, with the gradient g of the result and G = sum of g p. With SHRUNK both are smaller by a
// factor that follows from the row's largest `size`, so that no sum overflows.

template <class C>
struct Relumax {
    static constexpr bool IS_SIGNED = false, HAS_ZEROS = true;
    C bias;

    explicit Relumax(double number) : bias((C)number) {}

    static C size(C x) { return x; }
    template <bool SHRUNK>
    INLINE Vec<C> term(Vec<C> x, C) const {
        const Vec<C> positive = larger(Vec<C>{}, x + bias);
        return SHRUNK ? positive * factor() : positive;
    }
    template <bool SHRUNK>
    INLINE Vec<C> slope(Vec<C> x, C, Vec<C> g, Vec<C> mean) const {
        const Vec<C> found = x + bias <= Vec<C>{} ? Vec<C>{} : g - mean;
        return SHRUNK ? found * factor() : found;
    }
    static constexpr C factor() { return sizeof(C) == 4 ? (C)0x1p-64 : (C)0x1p-512; }
};

template <class C>
struct Softpick {
    static constexpr bool IS_SIGNED = true, HAS_ZEROS = true;
    // from here on e^x - 1 is e^x
    static constexpr C FAR = 64;

    explicit Softpick(double) {}

    static C size(C x) { return x; }
    template <bool SHRUNK>
    INLINE Vec<C> term(Vec<C> x, C largest) const {
        Vec<C> found = expm1(x);
        if (SHRUNK) {
            // twice, since e^-largest may be below the smallest number where the term is not
            const C half = exp_of(-largest / 2);
            found = x < all(FAR) ? found * half * half : exp(x - largest);
        }
        return x == all(-(C)INF) ? Vec<C>{} : found;
    }
    template <bool SHRUNK>
    INLINE Vec<C> slope(Vec<C> x, C largest, Vec<C> g, Vec<C> mean) const {
        const Vec<C> found = exp(SHRUNK ? x - largest : x) * (x < Vec<C>{} ? mean : g - mean);
        return (x == all(-(C)INF)) | (x == Vec<C>{}) ? Vec<C>{} : found;
    }
};

// ORDER = 0: any order.
template <class C, int ORDER>
struct TaylorSoftmax {
    static constexpr bool IS_SIGNED = false, HAS_ZEROS = false;
    // 1 / k!
    static constexpr double COEFFICIENTS[] = {1,           1,           1. / 2,         1. / 6,          1. / 24,
                                              1. / 120,    1. / 720,    1. / 5040,      1. / 40320,      1. / 362880,
                                              1. / 3628800, 1. / 39916800, 1. / 479001600, 1. / 6227020800, 1. / 87178291200,
                                              1. / 1307674368000, 1. / 20922789888000};
    int order;

    explicit TaylorSoftmax(double number) : order(ORDER ? ORDER : (int)number) {}

    static C size(C x) { return x < 0 ? -x : x; }
    // of the sizes of a row a power of 2 that is at least a quarter of the largest, inverted; 0 for infinity
    static C inverse(C largest) {
        constexpr int PLACES = sizeof(C) == 4 ? 23 : 52, TOP = sizeof(C) == 4 ? 255 : 2047;
        const Bits<C> exponent = (Bits<C>)all(largest) >> PLACES;
        return ((Vec<C>)((TOP - exponent) << PLACES))[0];
    }
    template <bool SHRUNK>
    INLINE Vec<C> polynomial(Vec<C> x, int degree, C largest) const {
        const C unit = SHRUNK ? inverse(largest) : 1;
        C power = 1;
        if (SHRUNK) x *= unit;
        Vec<C> value = all((C)COEFFICIENTS[degree]);
#pragma GCC unroll 16
        for (int at = degree - 1; at >= 0; --at) value = value * x + (power *= unit) * (C)COEFFICIENTS[at];
        return value;
    }
    template <bool SHRUNK>
    INLINE Vec<C> term(Vec<C> x, C largest) const {
        const Vec<C> found = polynomial<SHRUNK>(x, ORDER ? ORDER : order, largest);
        return x == all(-(C)INF) ? Vec<C>{} : found;
    }
    template <bool SHRUNK>
    INLINE Vec<C> slope(Vec<C> x, C largest, Vec<C> g, Vec<C> mean) const {
        const Vec<C> found = polynomial<SHRUNK>(x, (ORDER ? ORDER : order) - 1, largest) * (g - mean);
        return x == all(-(C)INF) ? Vec<C>{} : SHRUNK ? found * inverse(largest) : found;
    }
};

// action(terms) with the terms of a kind in C
template <class C, class Action>
const char* with_terms(int64_t kind, double number, const Action& action) {
    if (kind == RELUMAX) return action(Relumax<C>(number));
    if (kind == SOFTPICK) return action(Softpick<C>(number));
    if (number == 2) return action(TaylorSoftmax<C, 2>(number));
    if (number == 4) return action(TaylorSoftmax<C, 4>(number));
    return action(TaylorSoftmax<C, 0>(number));
}

// ---- rows ----

enum { INPUT, GRAD, RESULT, MASK, OPERANDS };

// The result, or with BACKWARD the gradient of the input from that of the result.
template <class C, class Terms, bool BACKWARD>
struct Pass {
    using Start = int64_t[OPERANDS];

    Terms terms;
    Layout<OPERANDS> layout;
    Operand<C, OPERANDS> input, grad, result;
    bool stream;

    Pass(const Terms& terms, const Tensor (&operands)[OPERANDS], int64_t axes, int64_t flags)
        : terms(terms),
          layout(operands, axes),
          input(layout, INPUT, operands[INPUT]),
          grad(layout, GRAD, operands[GRAD]),
          result(layout, RESULT, operands[RESULT]),
          stream(operands[RESULT].numel() * (int64_t)sizeof(C) >= PAST_THE_CACHE) {
        if (!(flags & HAS_MASK)) return;
        input.mask = grad.mask = operands[MASK].at<bool>();
        input.mask_index = grad.mask_index = MASK;
        input.absent = -(C)INF;
    }

    static INLINE Vec<C> magnitude(Vec<C> term) { return Terms::IS_SIGNED ? larger(term, -term) : term; }
    static INLINE Vec<C> share(Vec<C> term) { return Terms::IS_SIGNED ? larger(Vec<C>{}, term) : term; }

    // What has no part in a spoilt row has no gradient.
    static INLINE Vec<C> quotient(Vec<C> slope, Vec<C> sum) { return slope == Vec<C>{} ? slope : slope / sum; }

    // The sum of a row's terms, which are kept.
    template <bool SHRUNK>
    INLINE C sum_of_row(const C* scores, C largest, C* kept) const {
        return sum_over<C>(layout.length, [&](int64_t at, int64_t count) INLINED {
            // while a row is worked on, the next one comes nearer
            prefetch(scores + layout.length + at);
            const Vec<C> term = terms.template term<SHRUNK>(load_some(scores + at, count, -(C)INF), largest);
            // what is behind the row's end is never read again
            store(kept + at, term);
            return magnitude(term);
        });
    }

    template <bool SHRUNK>
    INLINE void write_row(C* to, bool past, const C* scores, const C* g, C largest, C sum, const C* kept) const {
        C mean = 0;
        if (BACKWARD)
            mean = sum_over<C>(layout.length, [&](int64_t at, int64_t count) INLINED {
                return load_some(g + at, count, (C)0) * (share(load(kept + at)) / sum);
            });
        write_over(to, layout.length, past, [&](int64_t at, int64_t count) INLINED {
            if (!BACKWARD) return share(load(kept + at)) / sum;
            return quotient(terms.template slope<SHRUNK>(load_some(scores + at, count, -(C)INF), largest,
                                                         load_some(g + at, count, (C)0), all(mean)),
                            all(sum));
        });
    }

    bool takes_part(const Start& start, int64_t entry) const {
        return !input.mask || input.mask[start[MASK] + layout.offset_of(entry, MASK)];
    }

    // A row whose terms have an odd sum, wherever it lies.
    NOT_INLINED bool odd_row(const Start& start, C sum) const {
        const int64_t length = layout.length, padded = (length / LANES<C> + 1) * LANES<C>;
        const Scratch scratch(4 * padded * sizeof(C));
        C* const room = scratch.as<C>();
        if (!room) return false;
        C *const kept = room + padded, *const to = kept + padded;
        const C *const scores = input.row(start, room), *const g = BACKWARD ? grad.row(start, to + padded) : nullptr;
        const bool is_shrunk = !(sum <= LARGE_SUM<C>);
        C largest = -(C)INF;
        for (int64_t at = 0; is_shrunk && at < length; ++at)
            if (scores[at] != -(C)INF) largest = larger(Terms::size(scores[at]), largest);
        if (is_shrunk) sum = sum_of_row<true>(scores, largest, kept);
        bool is_spoilt = !(sum - sum == 0);
        for (int64_t entry = 0; !Terms::HAS_ZEROS && sum == 0 && entry < length; ++entry)
            is_spoilt |= takes_part(start, entry);
        if (is_spoilt)
            sum = (C)NOT_A_NUMBER;
        else if (sum == 0)
            sum = 1;
        if (is_shrunk) {
            write_row<true>(to, false, scores, g, largest, sum, kept);
        } else {
            sum_of_row<false>(scores, largest, kept);
            write_row<false>(to, false, scores, g, largest, sum, kept);
        }
        for (int64_t entry = 0; !BACKWARD && is_spoilt && entry < length; ++entry)
            if (!takes_part(start, entry)) to[entry] = 0;
        result.put_row(start, to);
        return true;
    }

    bool rows(int64_t first, int64_t last) const {
        // one vector more: what is written past the cache may start in the middle of one
        const int64_t length = layout.length, padded = (length / LANES<C> + 2) * LANES<C>;
        const Scratch scratch(3 * padded * sizeof(C));
        C *const room = scratch.as<C>(), *const kept = room + padded;
        if (!room) return false;
        for (int64_t unit = first; unit < last; ++unit) {
            Start start;
            layout.start_of(unit, start);
            const C* const scores = input.row(start, room);
            const C sum = sum_of_row<false>(scores, 0, kept);
            if (is_odd(sum)) {
                if (!odd_row(start, sum)) return false;
                continue;
            }
            C* const to = result.place(start, room);
            const C* const g = BACKWARD ? grad.row(start, kept + padded) : nullptr;
            write_row<false>(to, stream && to != room, scores, g, 0, sum, kept);
            result.put_row(start, to);
        }
        if (stream) finish_stores();
        return true;
    }

    // ---- columns: rows that lie side by side ----

    // Adds action(place) of the lines of a tile to the sums of its columns.
    template <class Action>
    INLINE void add_lines(const Block& block, C* sums, const Action& action) const {
        const int64_t width = block.width, end = (block.last - block.first) * width;
        for (int64_t line = 0; line < end; line += LINES * width) {
            const int64_t last = end - line < LINES * width ? end : line + LINES * width;
            for (int64_t at = 0; at < block.count; at += LANES<C>) {
                Vec<C> sum{};
                for (int64_t place = line + at; place < last; place += width) sum += action(place, at);
                store(sums + at, load(sums + at) + sum);
            }
        }
    }

    bool columns(const Tiling<C>& tiling, int64_t first, int64_t last) const {
        const int64_t width = tiling.width, size = width * tiling.height;
        const Scratch scratch((2 * width + (BACKWARD ? 2 : 1) * size) * sizeof(C));
        C* const sums = scratch.as<C>();
        if (!sums) return false;
        C *const means = sums + width, *const tile = means + width, *const gs = tile + size;
        const bool is_whole = tiling.height == layout.length;
        bool has_memory = true;
        const auto term = [&](int64_t place) INLINED { return terms.template term<false>(load(tile + place), 0); };
        each_block(layout, tiling, first, last, [&](const Start& start, int64_t count) {
            for (int64_t at = 0; at < 2 * width; at += LANES<C>) store(sums + at, Vec<C>{});
            // action(block) of each tile, which is read again where it is not all of its columns
            const auto sweep = [&](bool is_first, const auto& action) {
                each_tile(tiling, layout.length, count, [&](const Block& block) {
                    if (is_first || !is_whole) {
                        input.copy_tile(start, block, tile);
                        if (BACKWARD) grad.copy_tile(start, block, gs);
                    }
                    action(block);
                });
            };
            sweep(true, [&](const Block& block) {
                add_lines(block, sums, [&](int64_t place, int64_t) INLINED { return magnitude(term(place)); });
            });
            if (BACKWARD)
                sweep(false, [&](const Block& block) {
                    add_lines(block, means, [&](int64_t place, int64_t at) INLINED {
                        return load(gs + place) * (share(term(place)) / load(sums + at));
                    });
                });
            sweep(false, [&](const Block& block) {
                for (int64_t line = 0; line < (block.last - block.first) * width; line += width)
                    for (int64_t at = 0; at < count; at += LANES<C>) {
                        C* const place = tile + line + at;
                        const Vec<C> sum = load(sums + at);
                        if (BACKWARD)
                            store(place, quotient(terms.template slope<false>(load(place), 0, load(gs + line + at),
                                                                              load(means + at)),
                                                  sum));
                        else
                            store(place, share(term(line + at)) / sum);
                    }
                result.put_tile(start, block, tile);
            });
            for (int64_t at = 0; at < count; ++at) {
                if (!is_odd(sums[at])) continue;
                Start offsets;
                layout.neighbour_of(start, at, offsets);
                has_memory &= odd_row(offsets, sums[at]);
            }
        });
        return has_memory;
    }

    const char* run() const {
        if (layout.rows == 0 || layout.length == 0) return nullptr;
        const bool are_columns = layout.rows_are_columns(INPUT) && layout.rows_are_columns(RESULT);
        if (input.rows_are_contiguous() || !are_columns || layout.neighbours().size < LANES<C>)
            return in_parallel(layout.rows, GRAIN / (layout.length + 1),
                               [&](int64_t first, int64_t last) { return rows(first, last); });
        const Tiling<C> tiling(layout, BACKWARD ? 2 : 1);
        return in_parallel(layout.rows / layout.neighbours().size * tiling.blocks, GRAIN / (layout.length * tiling.width),
                           [&](int64_t first, int64_t last) { return columns(tiling, first, last); });
    }
};

// ---- calls ----

template <bool BACKWARD>
const char* pass(Call& call, const Tensor& grad, int first) {
    const Tensor input = call.tensor(first), mask = call.tensor(first + 1);
    const int64_t axes = call.integer(first + 2), kind = call.integer(first + 3), flags = call.integer(first + 5);
    const double number = call.number(first + 4);
    const Tensor result = call.result_like(input, input.dtype);
    if (!result.handle) return NO_MEMORY;
    const Tensor operands[] = {input, BACKWARD ? grad : input, result, mask};
    return as_computed(input, [&](auto tag) {
        using C = typename decltype(tag)::type;
        return with_terms<C>(kind, number, [&](auto terms) {
            return Pass<C, decltype(terms), BACKWARD>(terms, operands, axes, flags).run();
        });
    });
}

// (input, mask, axes, kind, number, flags): the result
const char* forward(Call& call) { return pass<false>(call, {}, 0); }

// (grad, input, mask, axes, kind, number, flags): the gradient of the input
const char* backward(Call& call) {
    const Tensor grad = call.tensor(0);
    return pass<true>(call, grad, 1);
}

}  // namespace

#define PASTE(a, b) a##b
#define NAMED(a, b) PASTE(a, b)

extern "C" __attribute__((visibility("hidden"))) int32_t NAMED(anymax_rectified_, ISA)(LibraryHandle library) {
    int32_t failed = 0;
    failed |= torch_library_impl(library, "anymax::rectified", boxed<forward>, TORCH_VERSION);
    failed |= torch_library_impl(library, "anymax::rectified_backward", boxed<backward>, TORCH_VERSION);
    return failed;
}
