// keep_mask: top-k, top-p and min-p without a sort of the whole row. Rules: api.py. The definition: reference.py.
//
// Both top_k and top_p keep entries in falling order while the weight of those before is below a goal; the weights are 1
// or the probabilities. Where that ends is found digit by digit of the scores' bits, each time among the entries that
// agree with it so far, so the time of a row is proportional to its length whatever its scores are.

#include "../../_core/native/rows.h"

namespace {

enum { SCORES, RESULT, OPERANDS };

// Bits of a digit, and how many entries are few enough to be sorted.
constexpr int DIGIT = 11;
constexpr int64_t FEW = 32;

template <class C>
struct KeyOf {
    using type = uint32_t;
};
template <>
struct KeyOf<double> {
    using type = uint64_t;
};
template <class C>
using Key = typename KeyOf<C>::type;

// an unsigned number in the order of the scores
template <class C>
INLINE Key<C> key_of(C score) {
    constexpr Key<C> sign = (Key<C>)1 << (8 * sizeof(C) - 1);
    score += 0;  // -0 is 0
    Key<C> bits;
    memcpy(&bits, &score, sizeof bits);
    return bits & sign ? ~bits : bits | sign;
}

// Entries above `last` stay, and the first `equal` of those that are it.
template <class C>
struct Cut {
    C last = -(C)INF;
    int64_t equal = 0;
};

// The cut behind the first entry, in falling order, before which and with which the weights reach `goal` > 0. Both lists,
// of scores and of weights (nullptr: each is 1), are changed.
template <class C>
Cut<C> cut_at(double goal, C* list, double* weights, int64_t count) {
    double reached = 0;
    int shift = 8 * sizeof(C);
    while (count > FEW && shift > 0) {
        // the bits above this digit are the same in all entries of the list
        shift = shift > DIGIT ? shift - DIGIT : 0;
        const auto digit_of = [&](C score) INLINED { return key_of(score) >> shift & ((1 << DIGIT) - 1); };
        double masses[1 << DIGIT] = {};
        for (int64_t at = 0; at < count; ++at) masses[digit_of(list[at])] += weights ? weights[at] : 1;
        int64_t digit = (1 << DIGIT) - 1;
        while (digit >= 0 && reached + masses[digit] < goal) reached += masses[digit--];
        if (digit < 0) {
            // the whole list stays, which the rounding of sums in another order may decide as well
            C last = list[0];
            for (int64_t at = 1; at < count; ++at) last = list[at] < last ? list[at] : last;
            return {last, count};
        }
        int64_t left = 0;
        for (int64_t at = 0; at < count; ++at) {
            if (digit_of(list[at]) != (Key<C>)digit) continue;
            if (weights) weights[left] = weights[at];
            list[left++] = list[at];
        }
        count = left;
    }
    for (int64_t at = 1; at < count && shift > 0; ++at) {
        const C score = list[at];
        const double weight = weights ? weights[at] : 1;
        int64_t to = at;
        for (; to > 0 && list[to - 1] < score; --to) {
            list[to] = list[to - 1];
            if (weights) weights[to] = weights[to - 1];
        }
        list[to] = score;
        if (weights) weights[to] = weight;
    }
    Cut<C> cut;
    for (int64_t at = 0; at < count && reached < goal; ++at) {
        cut.equal = at > 0 && list[at] == cut.last ? cut.equal + 1 : 1;
        cut.last = list[at];
        reached += weights ? weights[at] : 1;
    }
    return cut;
}

template <class C>
INLINE bool is_any(Bits<C> lanes) {
#if defined(__AVX2__) && !defined(__AVX512F__)
    return !_mm256_testz_si256((__m256i)lanes, (__m256i)lanes);
#else
    uint64_t words[BYTES / 8], found = 0;
    memcpy(words, &lanes, BYTES);
    for (uint64_t word : words) found |= word;
    return found != 0;
#endif
}

// The entries that a cut leaves, in their order. Returns how many.
template <class C>
int64_t copy_kept(const C* row, int64_t length, Cut<C> cut, C* list) {
    int64_t count = 0;
    const auto take = [&](C score) INLINED {
        if (score > cut.last || (score == cut.last && cut.equal-- > 0)) list[count++] = score;
    };
    int64_t at = 0;
    for (; at + LANES<C> <= length; at += LANES<C>) {
        if (!is_any<C>(load(row + at) >= all(cut.last))) continue;
        for (int lane = 0; lane < LANES<C>; ++lane) take(row[at + lane]);
    }
    for (; at < length; ++at) take(row[at]);
    return count;
}

// The cut behind the `top_k` largest. Of groups of entries the k-th largest maximum is a bound: at least k are not below
// it, and few are above it where groups are many.
template <class C>
Cut<C> cut_of_largest(const C* row, int64_t length, int64_t top_k, C* list) {
    const int64_t size = length / (8 * top_k) * LANES<C>;  // of a group of vectors, each lane of which is a group
    int64_t count = 0;
    Cut<C> bound;
    if (size > LANES<C>) {
        for (int64_t group = 0; group + size <= length; group += size, count += LANES<C>) {
            Vec<C> top = load(row + group);
            for (int64_t at = LANES<C>; at < size; at += LANES<C>) top = larger(load(row + group + at), top);
            store(list + count, top);
        }
        bound.last = cut_at<C>((double)top_k, list, nullptr, count).last;
        bound.equal = bound.last > -(C)INF ? length : 0;
    }
    count = copy_kept(row, length, bound, list);
    return cut_at<C>((double)top_k, list, nullptr, count);
}

// e^(x - top) of a list, behind which is room for a vector, and their sum
template <class C>
double weigh(C* list, int64_t count, C top, double* weights) {
    for (int64_t lane = 0; lane < LANES<double>; ++lane) list[count + lane] = -(C)INF;
    return sum_over<double>(count, [&](int64_t at, int64_t) INLINED {
        double lanes[LANES<double>];
        for (int lane = 0; lane < LANES<double>; ++lane) lanes[lane] = (double)list[at + lane] - (double)top;
        const Vec<double> e = exp(load(lanes));
        store(weights + at, e);
        return e;
    });
}

// p >= min_p * the largest p. e^(x - top) is rounded to C from double, which is what the reference's is in nearly every case.
template <class C>
struct MinP {
    C least = 0, low = -(C)INF, high = -(C)INF;  // between the last two only e^(x - top) itself decides

    explicit MinP(double min_p) {
        if (min_p == 0) return;
        const double middle = log_of(min_p), margin = 1e-5 * (1 - middle);
        least = (C)min_p;
        low = (C)(middle - margin);
        high = (C)(middle + margin);
    }
    bool keeps(C d) const { return d > high || (d >= low && (C)exp_of((double)d) >= least); }
};

template <class C>
struct Rules {
    int64_t top_k;
    double top_p;
    MinP<C> min_p;
};

// whether no score of a row is NaN or infinite above, and the largest
template <class C>
bool is_sound(const C* row, int64_t length, C& top) {
    Bits<C> below = ~Bits<C>{};
    int64_t at = 0;
    for (; at + LANES<C> <= length; at += LANES<C>) below &= load(row + at) < all((C)INF);
    bool found = !is_any<C>(~below);
    for (; at < length; ++at) found = found && row[at] < (C)INF;
    top = largest(row, length);
    return found;
}

template <class C>
void mark(const C* row, int64_t length, C top, Cut<C> cut, const MinP<C>& min_p, bool* kept) {
    const auto decide = [&](int64_t at) INLINED {
        const C score = row[at];
        kept[at] = (score > cut.last || (score == cut.last && cut.equal-- > 0)) && min_p.keeps(score - top);
    };
    int64_t at = 0;
    for (; at + LANES<C> <= length; at += LANES<C>) {
        const Vec<C> score = load(row + at), d = score - top;
        const Bits<C> stays = (score > all(cut.last)) & (d > all(min_p.high));
        const Bits<C> is_out = (score < all(cut.last)) | (d < all(min_p.low));
        if (is_any<C>(~(stays | is_out))) {
            for (int lane = 0; lane < LANES<C>; ++lane) decide(at + lane);
            continue;
        }
        typedef int8_t Bytes __attribute__((vector_size(LANES<C>)));
        const Bytes ones = __builtin_convertvector(stays, Bytes) & 1;
        memcpy(kept + at, &ones, sizeof ones);
    }
    for (; at < length; ++at) decide(at);
}

template <class C>
bool rows(const Layout<OPERANDS>& layout, const Operand<C, OPERANDS>& scores, bool* result, const Rules<C>& rules,
          int64_t first, int64_t last) {
    const int64_t length = layout.length, step = layout.line().strides[RESULT];
    const int64_t padded = (length / LANES<C> + 2) * LANES<C>;
    const Scratch scratch(padded * (2 * sizeof(C) + sizeof(double)));
    double* const weights = scratch.as<double>();
    if (!weights) return false;
    C *const room = (C*)(weights + padded), *const list = room + padded;
    for (int64_t unit = first; unit < last; ++unit) {
        int64_t start[OPERANDS];
        layout.start_of(unit, start);
        const C* const row = scores.row(start, room);
        // the weights are read no more when the marks are made
        bool* const kept = step == 1 ? result + start[RESULT] : (bool*)weights;
        C top;
        if (is_sound(row, length, top)) {
            Cut<C> cut;
            if (rules.top_k < length) cut = cut_of_largest(row, length, rules.top_k, list);
            if (rules.top_p < 1) {
                const int64_t count = copy_kept(row, length, cut, list);
                const double sum = weigh(list, count, top, weights);
                // a sum that reaches top_p on paper may be short of it by the rounding of its terms
                const double goal = (rules.top_p - (double)length * 2.220446049250313e-16) * sum;
                // the first stays however small top_p is; what stays of the list stays of the row
                cut = cut_at(larger(goal, 1e-300), list, weights, count);
            }
            mark(row, length, top, cut, rules.min_p, kept);
        } else {
            memset(kept, 0, length);
        }
        for (int64_t at = 0; step != 1 && at < length; ++at) result[start[RESULT] + at * step] = kept[at];
    }
    return true;
}

// (input, axes, top_k, top_p, min_p), where top_k = 0, top_p = 1 and min_p = 0 stand for no rule
const char* keep_mask(Call& call) {
    const Tensor input = call.tensor(0);
    const Tensor result = call.result_like(input, aoti_torch_dtype_bool());
    if (!result.handle) return NO_MEMORY;
    const int64_t axes = call.integer(1), top_k = call.integer(2);
    const double top_p = call.number(3), min_p = call.number(4);
    return as_computed(input, [&](auto tag) {
        using C = typename decltype(tag)::type;
        const Tensor operands[] = {input, result};
        const Layout<OPERANDS> layout(operands, axes);
        if (layout.rows == 0 || layout.length == 0) return (const char*)nullptr;
        const Operand<C, OPERANDS> scores(layout, SCORES, input);
        const Rules<C> rules{top_k > 0 ? top_k : INT64_MAX, top_p, MinP<C>(min_p)};
        return in_parallel(layout.rows, GRAIN / 8 / (layout.length + 1), [&](int64_t first, int64_t last) {
            return rows<C>(layout, scores, result.at<bool>(), rules, first, last);
        });
    });
}

}  // namespace

#define PASTE(a, b) a##b
#define NAMED(a, b) PASTE(a, b)

extern "C" __attribute__((visibility("hidden"))) int32_t NAMED(anymax_truncation_, ISA)(LibraryHandle library) {
    return torch_library_impl(library, "anymax::keep_mask", boxed<keep_mask>, TORCH_VERSION);
}
