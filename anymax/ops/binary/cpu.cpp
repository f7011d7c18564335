// The binary losses, and their gradients from the same read of the scores. Formulas: api.py. The definition:
// reference.py.
//
// Every entry is on its own, so entries are taken in the order of memory, in blocks of one size. A sum is that of the
// blocks' sums, and its order follows from the number of entries alone.

#include "../../_core/native/rows.h"

namespace {

enum Reduction { NONE, MEAN, SUM };
// the lowest two bits of the flags are the reduction
constexpr int64_t REDUCTION = 3, HAS_WEIGHT = 4, HAS_POS_WEIGHT = 8;

enum { SCORES, TARGET, WEIGHT, POS_WEIGHT, LOSS, GRADIENT, OPERANDS };

// Entries of a block: few enough for a copy of every operand in the first cache, and whole vectors.
constexpr int64_t BLOCK = 2048;

// An operand as it is read and written in the order of the layout: in place where that is its own order.
template <class C>
struct Ordered {
    const Layout<OPERANDS>& layout;
    int index;
    void* data;
    Stored type;
    bool in_order = true;

    Ordered(const Layout<OPERANDS>& layout, int index, const Tensor& tensor)
        : layout(layout), index(index), data(tensor.data), type(stored(tensor)) {
        int64_t step = 1;
        for (int at = layout.num_outer; at-- > 0; step *= layout.outer[at].size)
            in_order &= layout.outer[at].strides[index] == step || layout.outer[at].size == 1;
    }

    bool is_in_place() const { return in_order && type == AS_COMPUTED; }

    const C* read(int64_t first, int64_t count, C* room) const {
        if (is_in_place()) return (C*)data + first;
        copy(first, count, room);
        return room;
    }
    C* place(int64_t first, C* room) const { return is_in_place() ? (C*)data + first : room; }
    void put(int64_t first, int64_t count, const C* from) const {
        if (!is_in_place()) scatter(first, count, from);
    }

   private:
    // action(position in the block, count, where they lie, how far apart) for entries of the innermost axis
    template <class Action>
    void each_piece(int64_t first, int64_t count, const Action& action) const {
        if (in_order) return action((int64_t)0, count, first, (int64_t)1);
        const auto& line = layout.neighbours();
        for (int64_t at = 0; at < count;) {
            const int64_t inside = (first + at) % line.size, left = line.size - inside;
            const int64_t some = count - at < left ? count - at : left;
            int64_t start[OPERANDS];
            layout.start_of((first + at) / line.size, start, 1);
            action(at, some, start[index] + inside * line.strides[index], line.strides[index]);
            at += some;
        }
    }
    NOT_INLINED void copy(int64_t first, int64_t count, C* room) const {
        as_stored<C>(type, data, [&](const auto* base) {
            each_piece(first, count, [&](int64_t position, int64_t some, int64_t offset, int64_t step) {
                const auto* const from = base + offset;
                C* const to = room + position;
                int64_t at = 0;
                if (step == 1)
                    for (; at + LANES<C> <= some; at += LANES<C>) store(to + at, load_as(from + at));
                for (; at < some; ++at) to[at] = widened(from[at * step]);
            });
        });
    }
    NOT_INLINED void scatter(int64_t first, int64_t count, const C* from) const {
        each_piece(first, count, [&](int64_t position, int64_t some, int64_t offset, int64_t step) {
            for (int64_t at = 0; at < some; ++at) ((C*)data)[offset + at * step] = from[position + at];
        });
    }
};

// atanh(s) / s = 1 + z * series(z) with z = s^2 <= 1/9. Minimax fits, whose error is below 3e-9 and 6e-18 of the result.
INLINE Vec<float> atanh_series(Vec<float> z) {
    return polynomial(z, 0.11612164612011674416f, 0.10853287900440186323f, 0.14296178997151418861f,
                      0.19999853165964858701f, 0.33333333660706263234f);
}
INLINE Vec<double> atanh_series(Vec<double> z) {
    return polynomial(z, 0.080820232522362259303, 0.044003690326719351128, 0.060005364459765628874,
                      0.066570721004988674059, 0.076927850327432272724, 0.090908947180570285239, 0.11111111358714118392,
                      0.14285714283554376734, 0.20000000000007291344, 0.33333333333333329281);
}

template <class C>
struct Terms {
    Vec<C> loss, gradient;
};

// What all losses of a score are made of: softplus(x) = max(x, 0) + log(1 + e), and log(1 + e) = 2 atanh(e / (2 + e)).
// One quotient serves loss and gradient.
template <class C>
struct Logistic {
    Bits<C> is_above;
    Vec<C> size, e, inverse, log_sum;  // |x|, exp(-|x|), 1 / (1 + e), log(1 + e)

    INLINE explicit Logistic(Vec<C> x) {
        is_above = x > Vec<C>{};
        size = is_above ? x : -x;
        e = exp(-size);
        const Vec<C> quotient = (C)1 / ((e + (C)1) * (e + (C)2));
        const Vec<C> s = e * (e + (C)1) * quotient, z = s * s;
        log_sum = (C)2 * (s + s * (z * atanh_series(z)));
        inverse = (e + (C)2) * quotient;
    }
};

// a target as it counts: NaN outside [0, 1]
template <class C>
INLINE Vec<C> checked(Vec<C> y) {
    return ((y >= Vec<C>{}) & (y <= all((C)1))) ? y : all((C)NOT_A_NUMBER);
}

// weight * value, where 0 is no term, also of an infinite one
template <class C>
INLINE Vec<C> times(Vec<C> weight, Vec<C> value) {
    const Bits<C> is_void = (weight == Vec<C>{}) & ((value == all((C)INF)) | (value == all(-(C)INF)));
    return is_void ? Vec<C>{} : weight * value;
}

// What one entry costs, and its gradient: binary cross-entropy. An entry of score -inf and target 0 costs nothing in
// any of these losses.
template <class C, bool HAS_WEIGHTS>
struct CrossEntropy {
    static constexpr bool WEIGHTED = HAS_WEIGHTS;

    INLINE Terms<C> operator()(Vec<C> x, Vec<C> y, Vec<C> weight, Vec<C> pos_weight) const {
        y = checked<C>(y);
        const Vec<C> negative = (C)1 - y, positive = WEIGHTED ? y * pos_weight : y;
        const Logistic<C> at(x);
        // what grows with the score; 0 is no term, also of an infinite one, and NaN is in the other summand
        const Vec<C> wrong = at.is_above ? negative : positive;
        const Vec<C> linear = ((wrong == Vec<C>{}) | (at.size == Vec<C>{})) ? Vec<C>{} : wrong * at.size;
        Terms<C> found;
        found.loss = at.log_sum * (positive + negative) + linear;
        found.gradient = (at.is_above ? negative - positive * at.e : negative * at.e - positive) * at.inverse;
        if (!WEIGHTED) return found;
        found.loss = times<C>(weight, found.loss);
        found.gradient *= weight;
        return found;
    }
};

// base^exponent for a base in [0, 1]; `log_of_base` is asked where the exponent is no small whole number
template <class C>
struct Power {
    C exponent;
    int whole;

    explicit Power(double exponent)
        : exponent((C)exponent), whole(exponent <= 16 && exponent == (int)exponent ? (int)exponent : -1) {}

    template <class Log>
    INLINE Vec<C> operator()(Vec<C> base, const Log& log_of_base) const {
        if (whole < 0) return exp(exponent * log_of_base());
        Vec<C> power = all((C)1);
        for (int left = whole; left > 0; left >>= 1, base *= base)
            if (left & 1) power *= base;
        return power;
    }
};

// Focal loss: cross-entropy times (1 - p_t)^gamma, p_t the probability that the score gives to the target.
template <class C>
struct Focal {
    static constexpr bool WEIGHTED = false;

    Power<C> focus;
    C of_positive, of_negative;  // weights

    INLINE Terms<C> operator()(Vec<C> x, Vec<C> y, Vec<C>, Vec<C>) const {
        y = checked<C>(y);
        const Vec<C> negative = (C)1 - y;
        const Logistic<C> at(x);
        // how wrong the likelier of the two answers is
        const Vec<C> wrong = at.is_above ? negative : y;
        const Bits<C> is_right = wrong == Vec<C>{};
        const Vec<C> cost = at.log_sum + (is_right ? Vec<C>{} : wrong * at.size);
        // (1 + e) (1 - p_t)
        const Vec<C> missed = is_right ? at.e : wrong + ((C)1 - wrong) * at.e;
        const Vec<C> factor = focus(missed * at.inverse, [&]() INLINED {
            return (is_right ? -at.size : log(is_right ? all((C)1) : missed)) - at.log_sum;
        });
        const Vec<C> weighted = (of_positive * y + of_negative * negative) * factor;
        // the derivative of log(1 - p_t); where it is 0 the cost may be infinite
        const Vec<C> slope = ((C)1 - (C)2 * y) * at.inverse * (is_right ? all((C)1) : at.e / missed);
        const Vec<C> bent = slope == Vec<C>{} ? Vec<C>{} : focus.exponent * slope * cost;
        Terms<C> found;
        found.loss = times<C>(weighted, cost);
        found.gradient =
            weighted * ((at.is_above ? negative - y * at.e : negative * at.e - y) * at.inverse + bent);
        return found;
    }
};

// Asymmetric loss: positives as in focal loss, negatives too, with a probability that is less by `clip`.
template <class C, bool CLIPPED>
struct Asymmetric {
    static constexpr bool WEIGHTED = false;

    Power<C> of_positive, of_negative;
    C clip;

    INLINE Terms<C> operator()(Vec<C> x, Vec<C> y, Vec<C>, Vec<C>) const {
        y = checked<C>(y);
        const Vec<C> negative = (C)1 - y;
        const Logistic<C> at(x);
        const Vec<C> less = at.e * at.inverse;
        // sigmoid(x) and sigmoid(-x), and minus their logs
        const Vec<C> yes = at.is_above ? at.inverse : less, no = at.is_above ? less : at.inverse;
        const Vec<C> of_yes = at.log_sum + (at.is_above ? Vec<C>{} : at.size);
        const Vec<C> of_no = at.log_sum + (at.is_above ? at.size : Vec<C>{});
        const Terms<C> one = focused(of_positive, no, yes, of_no, of_yes);
        const Terms<C> other = CLIPPED ? clipped(yes, no) : focused(of_negative, yes, no, of_yes, of_no);
        Terms<C> found;
        found.loss = times<C>(y, one.loss) + times<C>(negative, other.loss);
        found.gradient = negative * other.gradient - y * one.gradient;
        return found;
    }

   private:
    // wrong^gamma * -log right, and its derivative in the score of the wrong answer
    INLINE Terms<C> focused(const Power<C>& power, Vec<C> wrong, Vec<C> right, Vec<C> of_wrong, Vec<C> of_right) const {
        const Vec<C> factor = power(wrong, [&]() INLINED { return -of_wrong; });
        const Vec<C> bent = right == Vec<C>{} ? Vec<C>{} : power.exponent * right * of_right;
        return {factor * of_right, factor * (bent + wrong)};
    }

    // The same of wrong = yes - clip, and of nothing below 0.
    INLINE Terms<C> clipped(Vec<C> yes, Vec<C> no) const {
        const Vec<C> wrong = yes - clip, right = no + clip;
        const Bits<C> is_clipped = wrong <= Vec<C>{};
        // close to 1 the log is that of the rounded number, and what rounding took away
        const Vec<C> lost = wrong <= all((C)0.5) ? (((C)1 - right) - wrong) * ((C)1 + wrong) : Vec<C>{};
        const Vec<C> of_right = -(log(right) + lost);
        const Vec<C> factor =
            of_negative(wrong, [&]() INLINED { return log(is_clipped ? all((C)1) : wrong); });
        const Vec<C> bent = (of_negative.exponent * of_right * right + wrong) / (wrong * right);
        return {
            is_clipped ? Vec<C>{} : factor * of_right,
            is_clipped ? Vec<C>{} : factor * bent * (yes * no),
        };
    }
};

// `to` is aligned if what is written goes past the cache
template <class C>
INLINE void write(C* to, Vec<C> value, int64_t count, bool stream) {
    if (count < LANES<C>)
        store_part(to, value, count);
    else if (stream)
        store_past_the_cache(to, value);
    else
        store(to, value);
}

template <class C, class Entry>
struct Losses {
    Entry entry;
    Layout<OPERANDS> layout;
    Ordered<C> input, target, weight, pos_weight, loss, gradient;
    bool has_weight, has_pos_weight, stream;
    // what a loss multiplies an entry's gradient by
    C share = 1;
    C* sums = nullptr;  // per block

    Losses(const Entry& entry, const Tensor (&operands)[OPERANDS], int64_t flags)
        : entry(entry),
          layout(operands, 0),
          input(layout, SCORES, operands[SCORES]),
          target(layout, TARGET, operands[TARGET]),
          weight(layout, WEIGHT, operands[WEIGHT]),
          pos_weight(layout, POS_WEIGHT, operands[POS_WEIGHT]),
          loss(layout, LOSS, operands[LOSS]),
          gradient(layout, GRADIENT, operands[GRADIENT]),
          has_weight(flags & HAS_WEIGHT),
          has_pos_weight(flags & HAS_POS_WEIGHT),
          // blocks are whole vectors, so one that is aligned leaves the next one aligned
          stream(layout.rows * (int64_t)sizeof(C) >= PAST_THE_CACHE && gradient.is_in_place() &&
                 (intptr_t)gradient.data % BYTES == 0) {}

    template <bool WITH_GRADIENT>
    bool blocks(int64_t first, int64_t last) const {
        constexpr bool WEIGHTED = Entry::WEIGHTED;
        const Scratch scratch(OPERANDS * BLOCK * sizeof(C));
        C* const room = scratch.as<C>();
        if (!room) return false;
        C* rooms[OPERANDS];
        for (int operand = 0; operand < OPERANDS; ++operand) rooms[operand] = room + operand * BLOCK;
        // a factor that is not there is 1
        for (int64_t at = 0; WEIGHTED && at < BLOCK; ++at) rooms[WEIGHT][at] = rooms[POS_WEIGHT][at] = 1;
        for (int64_t block = first; block < last; ++block) {
            const int64_t begin = block * BLOCK, left = layout.rows - begin, count = left < BLOCK ? left : BLOCK;
            const C* const x = input.read(begin, count, rooms[SCORES]);
            const C* const y = target.read(begin, count, rooms[TARGET]);
            const C* const w = has_weight ? weight.read(begin, count, rooms[WEIGHT]) : rooms[WEIGHT];
            const C* const p = has_pos_weight ? pos_weight.read(begin, count, rooms[POS_WEIGHT]) : rooms[POS_WEIGHT];
            C* const losses = sums ? nullptr : loss.place(begin, rooms[LOSS]);
            C* const gradients = WITH_GRADIENT ? gradient.place(begin, rooms[GRADIENT]) : nullptr;
            const C sum = sum_over<C>(count, [&](int64_t at, int64_t some) INLINED {
                // behind the end stands what costs nothing
                const Vec<C> weights = WEIGHTED ? load_some(w + at, some, (C)1) : Vec<C>{};
                const Vec<C> pos_weights = WEIGHTED ? load_some(p + at, some, (C)1) : Vec<C>{};
                const Terms<C> found =
                    entry(load_some(x + at, some, -(C)INF), load_some(y + at, some, (C)0), weights, pos_weights);
                if (losses) write<C>(losses + at, found.loss, some, false);
                if (WITH_GRADIENT) write<C>(gradients + at, found.gradient * share, some, stream);
                return found.loss;
            });
            if (sums)
                sums[block] = sum;
            else
                loss.put(begin, count, losses);
            if (WITH_GRADIENT) gradient.put(begin, count, gradients);
        }
        if (WITH_GRADIENT && stream) finish_stores();
        return true;
    }

    int64_t num_blocks() const { return (layout.rows + BLOCK - 1) / BLOCK; }

    template <bool WITH_GRADIENT>
    const char* run() const {
        return in_parallel(num_blocks(), GRAIN / BLOCK, [&](int64_t first, int64_t last) {
            return blocks<WITH_GRADIENT>(first, last);
        });
    }

    // Entries to one loss.
    template <bool WITH_GRADIENT>
    const char* reduce(Reduction reduction, C* result) {
        const Scratch scratch(num_blocks() * sizeof(C));
        sums = scratch.as<C>();
        if (!sums) return NO_MEMORY;
        const C entries = (C)layout.rows;
        if (reduction == MEAN) share = 1 / entries;
        if (const char* problem = run<WITH_GRADIENT>()) return problem;
        const C sum = sum_of(sums, num_blocks());
        *result = reduction == MEAN && layout.rows > 0 ? sum / entries : sum;
        return nullptr;
    }
};

// The loss of all entries, and its gradient if wanted; both in the dtype of the computation. `with_entry(tag, run)` makes
// what an entry costs and hands it to `run`. Weights that are not there are the input, by the flags.
template <bool WITH_GRADIENT, class WithEntry>
const char* losses_of(
    Call& call, const Tensor& input, const Tensor& target, const Tensor& weight, const Tensor& pos_weight, int64_t flags,
    const WithEntry& with_entry) {
    const auto reduction = (Reduction)(flags & REDUCTION);
    const int32_t wide = input.dtype == aoti_torch_dtype_float64() ? input.dtype : aoti_torch_dtype_float32();
    const Tensor loss = reduction == NONE ? call.result_like(input, wide) : call.result(0, nullptr, nullptr, wide);
    if (!loss.handle) return NO_MEMORY;
    const Tensor gradient = WITH_GRADIENT ? call.result_like(input, wide) : input;
    if (!gradient.handle) return NO_MEMORY;
    const int64_t strides[MOST_DIMS] = {};
    // what has no entries of its own
    Tensor none = input;
    none.strides = strides;
    const Tensor operands[] = {
        input,
        target,
        flags & HAS_WEIGHT ? weight : none,
        flags & HAS_POS_WEIGHT ? pos_weight : none,
        reduction == NONE ? loss : none,
        WITH_GRADIENT ? gradient : none,
    };
    return as_computed(input, [&](auto tag) {
        using C = typename decltype(tag)::type;
        return with_entry(tag, [&](const auto& entry) {
            Losses<C, Pointee<decltype(&entry)>> losses(entry, operands, flags);
            if (reduction == NONE) return losses.template run<WITH_GRADIENT>();
            return losses.template reduce<WITH_GRADIENT>(reduction, loss.at<C>());
        });
    });
}

// (input, target, weight, pos_weight, flags): all have the input's shape; a target and weights are in the dtype of the
// computation, or in halves where that is float32.
template <bool WITH_GRADIENT>
const char* binary_cross_entropy(Call& call) {
    const Tensor input = call.tensor(0), target = call.tensor(1), weight = call.tensor(2), pos_weight = call.tensor(3);
    const int64_t flags = call.integer(4);
    return losses_of<WITH_GRADIENT>(
        call, input, target, weight, pos_weight, flags, [&](auto tag, const auto& run) {
            using C = typename decltype(tag)::type;
            return flags & (HAS_WEIGHT | HAS_POS_WEIGHT) ? run(CrossEntropy<C, true>{}) : run(CrossEntropy<C, false>{});
        });
}

// (input, target, gamma, weight of positives, weight of negatives, flags)
template <bool WITH_GRADIENT>
const char* sigmoid_focal(Call& call) {
    const Tensor input = call.tensor(0), target = call.tensor(1);
    return losses_of<WITH_GRADIENT>(
        call, input, target, input, input, call.integer(5), [&](auto tag, const auto& run) {
            using C = typename decltype(tag)::type;
            return run(Focal<C>{Power<C>(call.number(2)), (C)call.number(3), (C)call.number(4)});
        });
}

// (input, target, gamma of negatives, gamma of positives, clip, flags)
template <bool WITH_GRADIENT>
const char* asymmetric(Call& call) {
    const Tensor input = call.tensor(0), target = call.tensor(1);
    return losses_of<WITH_GRADIENT>(
        call, input, target, input, input, call.integer(5), [&](auto tag, const auto& run) {
            using C = typename decltype(tag)::type;
            const Power<C> of_negative(call.number(2)), of_positive(call.number(3));
            const C clip = (C)call.number(4);
            return clip > 0 ? run(Asymmetric<C, true>{of_positive, of_negative, clip})
                            : run(Asymmetric<C, false>{of_positive, of_negative, clip});
        });
}

// One-vs-rest: a row's loss is the sum over its classes, of which the target's has the label 1 and the others 0.
template <class C, class Entry>
struct Rows {
    enum { SCORES, GRADIENT, ROW, OPERANDS };

    Entry entry;
    Layout<OPERANDS> layout;
    Operand<C, OPERANDS> input, gradient;
    const int64_t* ids;
    int64_t ignored;
    bool stream;
    // what a loss multiplies a row's gradient by
    C share = 1;
    C* costs = nullptr;  // per row

    Rows(const Entry& entry, const Tensor (&operands)[OPERANDS], int64_t axis, int64_t ignored)
        : entry(entry),
          layout(operands, (int64_t)1 << axis),
          input(layout, SCORES, operands[SCORES]),
          gradient(layout, GRADIENT, operands[GRADIENT]),
          ids((const int64_t*)operands[ROW].data),
          ignored(ignored),
          stream(layout.rows * layout.length * (int64_t)sizeof(C) >= PAST_THE_CACHE) {}

    bool is_counted_class(int64_t id) const { return id != ignored && id >= 0 && id < layout.length; }
    // what stands for the loss and the gradient of any other row
    C without_class(int64_t id) const { return id == ignored ? 0 : (C)NOT_A_NUMBER; }

    template <bool WITH_GRADIENT>
    bool rows(int64_t first, int64_t last) const {
        const int64_t length = layout.length, padded = (length / LANES<C> + 1) * LANES<C>;
        const Scratch scratch(3 * padded * sizeof(C));
        C* const labels = scratch.as<C>();
        if (!labels) return false;
        C *const room = labels + padded, *const kept = room + padded;
        memset(labels, 0, padded * sizeof(C));
        for (int64_t unit = first; unit < last; ++unit) {
            int64_t start[OPERANDS];
            layout.start_of(unit, start);
            const int64_t row = start[ROW], id = ids[row];
            C* const to = WITH_GRADIENT ? gradient.place(start, kept) : nullptr;
            if (!is_counted_class(id)) {
                costs[row] = without_class(id);
                for (int64_t at = 0; WITH_GRADIENT && at < length; ++at) to[at] = costs[row];
            } else {
                const C* const scores = input.row(start, room);
                const bool is_aligned = stream && to != kept && (intptr_t)to % BYTES == 0;
                labels[id] = 1;
                costs[row] = sum_over<C>(length, [&](int64_t at, int64_t some) INLINED {
                    // behind the end stands what costs nothing
                    const Vec<C> x = load_some(scores + at, some, -(C)INF);
                    const Terms<C> found = entry(x, load(labels + at), Vec<C>{}, Vec<C>{});
                    if (WITH_GRADIENT) write<C>(to + at, found.gradient * share, some, is_aligned);
                    return found.loss;
                });
                labels[id] = 0;
            }
            if (WITH_GRADIENT) gradient.put_row(start, to);
        }
        if (WITH_GRADIENT && stream) finish_stores();
        return true;
    }

    // Rows that lie side by side, a tile at a time.
    template <bool WITH_GRADIENT>
    bool columns(const Tiling<C>& tiling, int64_t first, int64_t last) const {
        const int64_t width = tiling.width, length = layout.length, step = layout.neighbours().strides[ROW];
        const Scratch scratch(width * (1 + 2 * tiling.height) * sizeof(C));
        C* const sums = scratch.as<C>();
        if (!sums) return false;
        C *const labels = sums + width, *const tile = labels + width * tiling.height;
        memset(labels, 0, width * tiling.height * sizeof(C));
        each_block(layout, tiling, first, last, [&](const auto& start, int64_t count) {
            const int64_t* const mine = ids + start[ROW];
            memset(sums, 0, width * sizeof(C));
            each_tile(tiling, length, count, [&](const Block& block) {
                const auto each_label = [&](C label) {
                    for (int64_t at = 0; at < count; ++at)
                        if (const int64_t id = mine[at * step]; id >= block.first && id < block.last)
                            labels[(id - block.first) * width + at] = label;
                };
                input.copy_tile(start, block, tile);
                each_label(1);
                add_tile<WITH_GRADIENT>(block, labels, tile, sums);
                each_label(0);
                if (!WITH_GRADIENT) return;
                for (int64_t at = 0; at < count; ++at) {
                    const int64_t id = mine[at * step];
                    if (is_counted_class(id)) continue;
                    for (int64_t entry = 0; entry < block.last - block.first; ++entry)
                        tile[entry * width + at] = without_class(id);
                }
                gradient.put_tile(start, block, tile);
            });
            for (int64_t at = 0; at < count; ++at) {
                const int64_t id = mine[at * step];
                costs[start[ROW] + at * step] = is_counted_class(id) ? sums[at] : without_class(id);
            }
        });
        return true;
    }

    // Adds what a tile's entries cost to the sums of its columns, and turns the tile into its gradient.
    template <bool WITH_GRADIENT>
    void add_tile(const Block& block, const C* labels, C* tile, C* sums) const {
        const int64_t width = block.width, end = (block.last - block.first) * width;
        for (int64_t chunk = 0; chunk < end; chunk += CHUNK * width) {
            const int64_t last = end - chunk < CHUNK * width ? end : chunk + CHUNK * width;
            for (int64_t at = 0; at < block.count; at += LANES<C>) {
                Vec<C> sum{};
                for (int64_t place = chunk + at; place < last; place += width) {
                    const Terms<C> found = entry(load(tile + place), load(labels + place), Vec<C>{}, Vec<C>{});
                    if (WITH_GRADIENT) store(tile + place, found.gradient * share);
                    sum += found.loss;
                }
                store(sums + at, load(sums + at) + sum);
            }
        }
    }

    template <bool WITH_GRADIENT>
    const char* run() const {
        const bool in_columns = layout.rows_are_columns(SCORES) && layout.rows_are_columns(GRADIENT);
        if (layout.row_is_contiguous(SCORES) || !in_columns || layout.rows == 0 || layout.length == 0)
            return in_parallel(layout.rows, GRAIN / (layout.length + 1), [&](int64_t first, int64_t last) {
                return rows<WITH_GRADIENT>(first, last);
            });
        const Tiling<C> tiling(layout, 2);
        return in_parallel(
            layout.rows / layout.neighbours().size * tiling.blocks, GRAIN / (layout.length * tiling.width),
            [&](int64_t first, int64_t last) { return columns<WITH_GRADIENT>(tiling, first, last); });
    }

    // Rows to one loss.
    template <bool WITH_GRADIENT>
    const char* reduce(Reduction reduction, C* result) {
        const Scratch scratch(layout.rows * sizeof(C));
        costs = scratch.as<C>();
        if (!costs) return NO_MEMORY;
        C counted = 0;
        if (reduction == MEAN) {
            int64_t count = 0;
            for (int64_t row = 0; row < layout.rows; ++row) count += ids[row] != ignored;
            counted = (C)count;
            share = 1 / counted;
        }
        if (const char* problem = run<WITH_GRADIENT>()) return problem;
        const C sum = sum_of(costs, layout.rows);
        *result = reduction == MEAN && counted > 0 ? sum / counted : sum;
        return nullptr;
    }
};

// (input, target, axis, ignore_index, gamma, weight of positives, weight of negatives, flags): the target is contiguous
// and has the input's shape without the class axis. The loss, and its gradient if wanted; both in the dtype of the
// computation.
template <bool WITH_GRADIENT>
const char* one_vs_rest(Call& call) {
    const Tensor input = call.tensor(0), target = call.tensor(1);
    const int64_t axis = call.integer(2), ignored = call.integer(3);
    const double gamma = call.number(4), of_positive = call.number(5), of_negative = call.number(6);
    const auto reduction = (Reduction)(call.integer(7) & REDUCTION);
    const int32_t wide = input.dtype == aoti_torch_dtype_float64() ? input.dtype : aoti_torch_dtype_float32();
    const Tensor loss =
        reduction == NONE ? call.result_reduced(target, 0, wide) : call.result(0, nullptr, nullptr, wide);
    if (!loss.handle) return NO_MEMORY;
    const Tensor gradient = WITH_GRADIENT ? call.result_like(input, wide) : input;
    if (!gradient.handle) return NO_MEMORY;
    int64_t strides[MOST_DIMS];
    const Tensor row = along_rows(target, input, axis, strides);
    const Tensor operands[] = {input, gradient, row};
    return as_computed(input, [&](auto tag) {
        using C = typename decltype(tag)::type;
        const auto run = [&](const auto& entry) {
            Rows<C, Pointee<decltype(&entry)>> rows(entry, operands, axis, ignored);
            if (reduction != NONE) return rows.template reduce<WITH_GRADIENT>(reduction, loss.at<C>());
            rows.costs = loss.at<C>();
            return rows.template run<WITH_GRADIENT>();
        };
        const bool is_plain = gamma == 0 && of_positive == 1 && of_negative == 1;
        return is_plain ? run(CrossEntropy<C, false>{})
                        : run(Focal<C>{Power<C>(gamma), (C)of_positive, (C)of_negative});
    });
}

}  // namespace

#define PASTE(a, b) a##b
#define NAMED(a, b) PASTE(a, b)

extern "C" __attribute__((visibility("hidden"))) int32_t NAMED(anymax_binary_, ISA)(LibraryHandle library) {
    int32_t failed = 0;
    failed |= torch_library_impl(
        library, "anymax::binary_cross_entropy", boxed<binary_cross_entropy<false>>, TORCH_VERSION);
    failed |= torch_library_impl(
        library, "anymax::binary_cross_entropy_with_gradient", boxed<binary_cross_entropy<true>>, TORCH_VERSION);
    failed |= torch_library_impl(library, "anymax::sigmoid_focal", boxed<sigmoid_focal<false>>, TORCH_VERSION);
    failed |= torch_library_impl(
        library, "anymax::sigmoid_focal_with_gradient", boxed<sigmoid_focal<true>>, TORCH_VERSION);
    failed |= torch_library_impl(library, "anymax::asymmetric", boxed<asymmetric<false>>, TORCH_VERSION);
    failed |= torch_library_impl(library, "anymax::asymmetric_with_gradient", boxed<asymmetric<true>>, TORCH_VERSION);
    failed |= torch_library_impl(library, "anymax::one_vs_rest", boxed<one_vs_rest<false>>, TORCH_VERSION);
    failed |= torch_library_impl(library, "anymax::one_vs_rest_with_gradient", boxed<one_vs_rest<true>>, TORCH_VERSION);
    return failed;
}
