// entropy and log_prob, forward and backward. Formulas: api.py. The definition: reference.py.
//
// With d = (x - top) / T, where top is the largest score of a row, one read of the row gives the sums of e^d and of e^d d,
// and from these log Z = top / T + log sum e^d and the entropy log sum e^d - sum e^d d / sum e^d. The backward pass reads
// the scores once more. The order of every sum follows from the length of the row alone.

#include "../../_core/native/rows.h"

namespace {

// of the backward pass: which of the results have a gradient
enum Flag { HAS_MASK = 1, WANTS_STATE = 2, OF_LOG_PROB = 4, OF_LOG_Z = 8, OF_ENTROPY = 16 };

// In the forward pass nothing is written to the gradient.
enum { SCORES, GRADIENT, MASK, ROW, OPERANDS };

// What the backward pass is told of a row: NaN as the entropy is a row that a score has spoilt.
enum State { TOP, LOG_SUM, ENTROPY, STATES };

// A finite number below which e^d is 0: what 0 is multiplied by.
template <class C>
constexpr C LOWEST = sizeof(C) == 4 ? (C)-128 : (C)-1024;

// Sums are 2^24 times as large, so that d times an e^d that is too small for a normal number is not 0.
constexpr int SCALE = 24;
constexpr double UNSCALED = 0x1p-24;

template <class C>
struct Sums {
    C sum, moment;
};

// The sums of e^d and of e^d d. Sums of CHUNK vectors are added up, as in `sum_over`.
template <class C, class Action>
INLINE Sums<C> sums_over(int64_t length, const Action& d_of) {
    constexpr int PARTS = 4;
    Vec<C> totals[PARTS] = {}, moments[PARTS] = {};
    const auto add = [&](Vec<C> d, Vec<C>& sum, Vec<C>& moment) INLINED {
        const Vec<C> e = exp<SCALE>(d);
        sum += e;
        moment += e * larger(d, all(LOWEST<C>));
    };
    int64_t at = 0;
    while (at + PARTS * LANES<C> <= length) {
        Vec<C> sums[PARTS] = {}, weighted[PARTS] = {};
        const int64_t rest = (length - at) / (PARTS * LANES<C>) * (PARTS * LANES<C>);
        const int64_t end = at + (rest < CHUNK * LANES<C> ? rest : CHUNK * LANES<C>);
        for (; at < end; at += PARTS * LANES<C>)
#pragma GCC unroll 4
            for (int part = 0; part < PARTS; ++part)
                add(d_of(at + part * LANES<C>, (int64_t)LANES<C>), sums[part], weighted[part]);
        for (int part = 0; part < PARTS; ++part) {
            totals[part] += sums[part];
            moments[part] += weighted[part];
        }
    }
    for (int part = 0; at < length; at += LANES<C>, ++part)
        add(d_of(at, length - at < LANES<C> ? length - at : LANES<C>), totals[part], moments[part]);
    return {sum_of_lanes<C>((totals[0] + totals[1]) + (totals[2] + totals[3])),
            sum_of_lanes<C>((moments[0] + moments[1]) + (moments[2] + moments[3]))};
}

// What forward and backward pass share: the scores, and what they are divided by.
template <class C>
struct Rows {
    using Start = int64_t[OPERANDS];

    Layout<OPERANDS> layout;
    Operand<C, OPERANDS> input;
    C temperature;
    bool is_tempered;
    const int64_t* ids = nullptr;
    int64_t ignored = 0;

    Rows(const Tensor (&operands)[OPERANDS], int64_t axes, double temperature, int64_t flags)
        : layout(operands, axes),
          input(layout, SCORES, operands[SCORES]),
          temperature((C)temperature),
          is_tempered(temperature != 1) {
        if (flags & HAS_MASK) {
            input.mask = operands[MASK].at<bool>();
            input.mask_index = MASK;
            input.absent = -(C)INF;
        }
    }

    // (x - top) / T of vectors or of numbers; a score of -inf stays one, also where T is infinite
    template <class V>
    INLINE V difference(V scores, V top) const {
        const V plain = scores - top;
        if (!is_tempered) return plain;
        return scores == V{} - (C)INF ? plain : plain / (V{} + temperature);
    }

    bool is_class(int64_t id) const { return id >= 0 && id < layout.length; }

    bool takes_part(const Start& start, int64_t entry) const {
        return !input.mask || input.mask[start[MASK] + layout.offset_of(entry, MASK)];
    }
    C score(const Start& start, int64_t entry) const {
        return takes_part(start, entry) ? input.number(start[SCORES] + layout.offset_of(entry, SCORES)) : -(C)INF;
    }

    // in_rows(first, last) or in_columns(tiling, first, last), whichever goes through memory in its order
    template <class InRows, class InColumns>
    const char* run(bool are_columns, const InRows& in_rows, const InColumns& in_columns) const {
        if (layout.rows == 0) return nullptr;
        if (input.rows_are_contiguous() || !are_columns || layout.neighbours().size < LANES<C> || layout.length == 0)
            return in_parallel(layout.rows, GRAIN / (layout.length + 1), in_rows);
        const Tiling<C> tiling(layout);
        return in_parallel(layout.rows / layout.neighbours().size * tiling.blocks, GRAIN / (layout.length * tiling.width),
                           [&](int64_t first, int64_t last) { return in_columns(tiling, first, last); });
    }
};

// ---- forward ----

template <class C>
struct Forward : Rows<C> {
    using typename Rows<C>::Start;
    using Rows<C>::input;
    using Rows<C>::layout;

    // per row; nullptr where they are not wanted
    C *log_probs = nullptr, *log_zs = nullptr, *entropies = nullptr, *state = nullptr;

    using Rows<C>::Rows;

    // Writes what is known of a row, from the score of its target less the row's top, in units of T.
    INLINE void finish(const Start& start, C top, Sums<C> sums, C target) const {
        const int64_t row = start[ROW];
        C log_sum = log_of(sums.sum * (C)UNSCALED), entropy = log_sum - sums.moment / sums.sum;
        C log_z = (this->is_tempered ? top / this->temperature : top) + log_sum;
        if (!(entropy == entropy)) odd_row(start, top, log_sum, entropy, log_z);
        entropies[row] = entropy;
        if (log_zs) log_zs[row] = log_z;
        if (log_probs) {
            const int64_t id = this->ids[row];
            log_probs[row] = id == this->ignored            ? 0
                             : !this->is_class(id)          ? (C)NOT_A_NUMBER
                             : !this->takes_part(start, id) ? -(C)INF
                                                            : target - log_sum;
        }
        if (!state) return;
        state[TOP * layout.rows + row] = top;
        state[LOG_SUM * layout.rows + row] = log_sum;
        state[ENTROPY * layout.rows + row] = entropy;
    }

    // `finish` for the rows that begin with this one; false where one of them is odd.
    INLINE bool finish_together(int64_t row, Vec<C> top, Vec<C> sum, Vec<C> moment, Vec<C> target) const {
        const Vec<C> unscaled = sum * (C)UNSCALED;
        const Bits<C> is_sound = (unscaled >= all((C)1)) & (unscaled < all((C)INF));
        for (int lane = 0; lane < LANES<C>; ++lane) {
            if (!is_sound[lane]) return false;
            if (!log_probs) continue;
            if (const int64_t id = this->ids[row + lane]; id == this->ignored || !this->is_class(id)) return false;
        }
        // a masked target is looked at alone
        if (log_probs && input.mask) return false;
        const Vec<C> log_sum = log(unscaled), entropy = log_sum - moment / sum;
        store(entropies + row, entropy);
        if (log_zs) store(log_zs + row, (this->is_tempered ? top / this->temperature : top) + log_sum);
        if (log_probs) store(log_probs + row, this->difference(target, top) - log_sum);
        if (!state) return true;
        store(state + TOP * layout.rows + row, top);
        store(state + LOG_SUM * layout.rows + row, log_sum);
        store(state + ENTROPY * layout.rows + row, entropy);
        return true;
    }

    // A row in which nothing takes part, or one that an infinite number or NaN has spoilt.
    NOT_INLINED void odd_row(const Start& start, C& top, C& log_sum, C& entropy, C& log_z) const {
        bool alive = false, is_number = true;
        for (int64_t entry = 0; entry < layout.length; ++entry) {
            if (!this->takes_part(start, entry)) continue;
            const C score = this->score(start, entry);
            alive = true;
            is_number = is_number && score == score;
        }
        log_z = alive && (!is_number || (this->is_tempered && top == (C)INF)) ? (C)NOT_A_NUMBER : top;
        if (alive) return;
        top = log_sum = entropy = 0;
    }

    bool rows(int64_t first, int64_t last) const {
        const Scratch scratch((layout.length + LANES<C>) * sizeof(C));
        C* const room = scratch.as<C>();
        if (!room) return false;
        for (int64_t unit = first; unit < last; ++unit) {
            Start start;
            layout.start_of(unit, start);
            const C* const scores = input.row(start, room);
            const C top = largest(scores, layout.length);
            const Sums<C> sums = sums_over<C>(layout.length, [&](int64_t at, int64_t count) INLINED {
                return this->difference(load_some(scores + at, count, -(C)INF), all(top));
            });
            C target = 0;
            if (log_probs && this->is_class(this->ids[start[ROW]]))
                target = this->difference(scores[this->ids[start[ROW]]], top);
            finish(start, top, sums, target);
        }
        return true;
    }

    bool columns(const Tiling<C>& tiling, int64_t first, int64_t last) const {
        const int64_t width = tiling.width, step = layout.neighbours().strides[ROW];
        const Scratch scratch(width * (4 + tiling.height) * sizeof(C));
        C* const tops = scratch.as<C>();
        if (!tops) return false;
        C *const sums = tops + width, *const moments = sums + width, *const targets = moments + width;
        C* const tile = targets + width;
        each_block(layout, tiling, first, last, [&](const Start& start, int64_t count) {
            for (int64_t at = 0; at < width; at += LANES<C>) store(tops + at, all(-(C)INF));
            for (int64_t at = 0; at < 3 * width; at += LANES<C>) store(sums + at, Vec<C>{});
            each_tile(tiling, layout.length, count, [&](const Block& block) {
                input.copy_tile(start, block, tile);
                sum_tile(tile, block, tops, sums, moments);
                if (!log_probs) return;
                const int64_t* const mine = this->ids + start[ROW];
                for (int64_t at = 0; at < count; ++at)
                    if (const int64_t id = mine[at * step]; id >= block.first && id < block.last)
                        targets[at] = tile[(id - block.first) * width + at];
            });
            int64_t at = 0;
            while (at < count) {
                if (at % LANES<C> == 0 && at + LANES<C> <= count && step == 1 &&
                    finish_together(start[ROW] + at, load(tops + at), load(sums + at), load(moments + at),
                                    load(targets + at))) {
                    at += LANES<C>;
                    continue;
                }
                Start offsets;
                layout.neighbour_of(start, at, offsets);
                finish(offsets, tops[at], {sums[at], moments[at]}, this->difference(targets[at], tops[at]));
                ++at;
            }
        });
        return true;
    }

    // Adds a tile to the sums of its columns. What they hold becomes smaller where the tile has a larger top: every d by
    // as much, and every e^d by that factor.
    void sum_tile(const C* tile, const Block& block, C* tops, C* sums, C* moments) const {
        const int64_t width = block.width;
        const C* const end = tile + (block.last - block.first) * width;
        for (int64_t at = 0; at < block.count; at += LANES<C>) {
            const Vec<C> before = load(tops + at);
            Vec<C> top = before;
            for (const C* entry = tile; entry < end; entry += width) top = larger(load(entry + at), top);
            store(tops + at, top);
            if (block.first == 0) continue;
            const Vec<C> d = this->difference(before, top), factor = exp(d), sum = load(sums + at);
            const Bits<C> is_first = before == all(-(C)INF);
            store(sums + at, is_first ? Vec<C>{} : sum * factor);
            store(moments + at, is_first ? Vec<C>{} : factor * (load(moments + at) + sum * larger(d, all(LOWEST<C>))));
        }
        for (const C* chunk = tile; chunk < end; chunk += CHUNK / 4 * width) {
            const C* const last = end - chunk < CHUNK / 4 * width ? end : chunk + CHUNK / 4 * width;
            for (int64_t at = 0; at < block.count; at += LANES<C>) {
                const Vec<C> top = load(tops + at);
                Vec<C> sum{}, moment{};
                for (const C* entry = chunk; entry < last; entry += width) {
                    const Vec<C> d = this->difference(load(entry + at), top), e = exp<SCALE>(d);
                    sum += e;
                    moment += e * larger(d, all(LOWEST<C>));
                }
                store(sums + at, load(sums + at) + sum);
                store(moments + at, load(moments + at) + moment);
            }
        }
    }

    const char* run() const {
        return Rows<C>::run(
            layout.rows_are_columns(SCORES), [&](int64_t first, int64_t last) { return rows(first, last); },
            [&](const Tiling<C>& tiling, int64_t first, int64_t last) { return columns(tiling, first, last); });
    }
};

// ---- backward ----

// The gradient of score c is p_c (a - b log p_c) / T, and g_y / T more for the target's, where a = g_Z - g_y - g_H H and
// b = g_H, from the gradients g_y of its log p, g_Z of log Z and g_H of the entropy H.
template <class C>
struct Backward : Rows<C> {
    using typename Rows<C>::Start;
    using Rows<C>::input;
    using Rows<C>::layout;

    Operand<C, OPERANDS> gradient;
    bool stream;
    const C* state;
    const C *of_log_prob, *of_log_z, *of_entropy;  // nullptr where there is none

    Backward(const Tensor (&operands)[OPERANDS], int64_t axes, double temperature, int64_t flags)
        : Rows<C>(operands, axes, temperature, flags),
          gradient(layout, GRADIENT, operands[GRADIENT]),
          stream(operands[GRADIENT].numel() * (int64_t)sizeof(C) >= PAST_THE_CACHE) {}

    struct Factors {
        C top, log_sum, of_probs, of_logs, of_target;
        bool is_spoilt;
    };

    Factors factors_of(const Start& start) const {
        const int64_t row = start[ROW];
        Factors factors{state[TOP * layout.rows + row], state[LOG_SUM * layout.rows + row], 0, 0, 0, false};
        const C entropy = state[ENTROPY * layout.rows + row];
        factors.is_spoilt = !(entropy == entropy);
        if (of_log_z) factors.of_probs = of_log_z[row];
        if (of_entropy) {
            factors.of_logs = of_entropy[row];
            factors.of_probs -= entropy * factors.of_logs;
        }
        if (!of_log_prob) return factors;
        const int64_t id = this->ids[row];
        if (id == this->ignored) return factors;
        factors.is_spoilt |= !this->is_class(id);
        // that of a masked target is -inf whatever the scores are
        if (factors.is_spoilt || !this->takes_part(start, id)) return factors;
        factors.of_target = of_log_prob[row];
        factors.of_probs -= factors.of_target;
        return factors;
    }

    INLINE Vec<C> value(Vec<C> scores, Vec<C> top, Vec<C> log_sum, Vec<C> of_probs, Vec<C> of_logs) const {
        const Vec<C> log_prob = this->difference(scores, top) - log_sum;
        // a probability of 0 adds nothing
        return tempered(exp(log_prob) * (of_probs - of_logs * larger(log_prob, all(LOWEST<C>))));
    }

    // A score of -inf has a gradient only as the target, in a plain row.
    bool has_gradient(C score) const { return !(score == -(C)INF) || !(input.mask || this->is_tempered); }

    template <class V>
    INLINE V tempered(V of_quotient) const {
        return this->is_tempered ? of_quotient / this->temperature : of_quotient;
    }

    NOT_INLINED void spoilt_row(const Start& start, C top) const {
        // of log Z alone, a score of +inf takes all
        const bool only_log_z = !of_log_prob && !of_entropy && !this->is_tempered && top == (C)INF;
        bool is_number = true;
        for (int64_t entry = 0; entry < layout.length; ++entry) {
            const C score = this->score(start, entry);
            is_number = is_number && score == score;
        }
        for (int64_t entry = 0; entry < layout.length; ++entry) {
            const C score = this->score(start, entry);
            const bool is_zero = !this->takes_part(start, entry) || !has_gradient(score) ||
                                 (only_log_z && is_number && score < (C)INF);
            gradient.set(start[GRADIENT] + layout.offset_of(entry, GRADIENT), is_zero ? 0 : (C)NOT_A_NUMBER);
        }
    }

    bool rows(int64_t first, int64_t last) const {
        // one vector more: what is written past the cache may start in the middle of one
        const int64_t length = layout.length, padded = (length / LANES<C> + 2) * LANES<C>;
        const Scratch scratch(padded * sizeof(C));
        C* const room = scratch.as<C>();
        if (!room) return false;
        for (int64_t unit = first; unit < last; ++unit) {
            Start start;
            layout.start_of(unit, start);
            const Factors factors = factors_of(start);
            if (factors.is_spoilt) {
                spoilt_row(start, factors.top);
                continue;
            }
            const C* const scores = input.row(start, room);
            C* const to = gradient.place(start, room);
            const int64_t target = factors.of_target == 0 ? -1 : this->ids[start[ROW]];
            const C of_target = target >= 0 && has_gradient(scores[target]) ? tempered(factors.of_target) : 0;
            write_over(to, length, stream && to != room, [&](int64_t at, int64_t count) INLINED {
                Vec<C> found = value(load_some(scores + at, count, -(C)INF), all(factors.top), all(factors.log_sum),
                                     all(factors.of_probs), all(factors.of_logs));
                // at once, since a line that was written past the cache is slow to change
                if (const int64_t lane = target - at; lane >= 0 && lane < count) found[lane] += of_target;
                return found;
            });
            gradient.put_row(start, to);
        }
        if (stream) finish_stores();
        return true;
    }

    bool columns(const Tiling<C>& tiling, int64_t first, int64_t last) const {
        const int64_t width = tiling.width, step = layout.neighbours().strides[ROW];
        const Scratch scratch(width * (5 + tiling.height) * sizeof(C));
        C* const tops = scratch.as<C>();
        if (!tops) return false;
        C *const log_sums = tops + width, *const of_probs = log_sums + width, *const of_logs = of_probs + width;
        C *const of_targets = of_logs + width, *const tile = of_targets + width;
        each_block(layout, tiling, first, last, [&](const Start& start, int64_t count) {
            for (int64_t at = 0; at < 5 * width; at += LANES<C>) store(tops + at, Vec<C>{});
            bool is_any_spoilt = false, is_any_target = false;
            for (int64_t at = 0; at < count; ++at) {
                Start offsets;
                layout.neighbour_of(start, at, offsets);
                const Factors factors = factors_of(offsets);
                tops[at] = factors.top;
                log_sums[at] = factors.log_sum;
                of_probs[at] = factors.of_probs;
                of_logs[at] = factors.of_logs;
                of_targets[at] = tempered(factors.of_target);
                is_any_spoilt |= factors.is_spoilt;
                is_any_target |= factors.of_target != 0;
            }
            each_tile(tiling, layout.length, count, [&](const Block& block) {
                input.copy_tile(start, block, tile);
                const C* const end = tile + (block.last - block.first) * width;
                // action(column, place) for the targets inside the block
                const auto each_target = [&](const auto& action) {
                    for (int64_t at = 0; is_any_target && at < count; ++at) {
                        if (of_targets[at] == 0) continue;
                        const int64_t id = this->ids[start[ROW] + at * step];
                        if (id >= block.first && id < block.last) action(at, tile + (id - block.first) * width + at);
                    }
                };
                if (input.mask || this->is_tempered)
                    each_target([&](int64_t at, const C* score) {
                        if (!has_gradient(*score)) of_targets[at] = 0;
                    });
                for (C* entry = tile; entry < end; entry += width)
                    for (int64_t at = 0; at < count; at += LANES<C>)
                        store(entry + at, value(load(entry + at), load(tops + at), load(log_sums + at),
                                                load(of_probs + at), load(of_logs + at)));
                each_target([&](int64_t at, C* to) { *to += of_targets[at]; });
                gradient.put_tile(start, block, tile);
            });
            for (int64_t at = 0; is_any_spoilt && at < count; ++at) {
                Start offsets;
                layout.neighbour_of(start, at, offsets);
                if (factors_of(offsets).is_spoilt) spoilt_row(offsets, tops[at]);
            }
        });
        return true;
    }

    const char* run() const {
        return Rows<C>::run(
            layout.rows_are_columns(SCORES) && layout.rows_are_columns(GRADIENT),
            [&](int64_t first, int64_t last) { return rows(first, last); },
            [&](const Tiling<C>& tiling, int64_t first, int64_t last) { return columns(tiling, first, last); });
    }
};

// ---- calls ----

// What has a number per row: its shape, and its place in a contiguous tensor as one of the input's shape.
struct PerRow {
    int64_t ndim = 0, count = 1, sizes[MOST_DIMS], strides[MOST_DIMS], spread[MOST_DIMS];

    PerRow(const Tensor& input, int64_t axes) {
        for (int64_t axis = 0; axis < input.ndim; ++axis)
            if (!(axes >> axis & 1)) sizes[ndim++] = input.sizes[axis];
        for (int64_t axis = input.ndim, at = ndim; axis-- > 0;) {
            spread[axis] = axes >> axis & 1 ? 0 : count;
            if (axes >> axis & 1) continue;
            strides[--at] = count;
            count *= input.sizes[axis];
        }
    }
    Tensor result(Call& call, int32_t dtype) const { return call.result(ndim, sizes, strides, dtype); }
    // the operand that says where a row's numbers are
    Tensor operand(const Tensor& input) const {
        Tensor tensor = input;
        tensor.strides = spread;
        return tensor;
    }
};

Tensor state_result(Call& call, int64_t rows, int64_t flags, int32_t dtype) {
    const int64_t sizes[] = {STATES, flags & WANTS_STATE ? rows : 0}, strides[] = {sizes[1] > 1 ? sizes[1] : 1, 1};
    return call.result(2, sizes, strides, dtype);
}

int32_t wide_of(const Tensor& input) {
    return input.dtype == aoti_torch_dtype_float64() ? input.dtype : aoti_torch_dtype_float32();
}

// (input, mask, axes, temperature, flags): the entropy of each row, and what the backward pass is told if that is wanted
const char* entropy(Call& call) {
    const Tensor input = call.tensor(0), mask = call.tensor(1);
    const int64_t axes = call.integer(2), flags = call.integer(4);
    const double temperature = call.number(3);
    const PerRow per_row(input, axes);
    const Tensor result = per_row.result(call, wide_of(input));
    const Tensor state = state_result(call, per_row.count, flags, wide_of(input));
    if (!result.handle || !state.handle) return NO_MEMORY;
    const Tensor operands[] = {input, input, mask, per_row.operand(input)};
    return as_computed(input, [&](auto tag) {
        using C = typename decltype(tag)::type;
        Forward<C> forward(operands, axes, temperature, flags);
        forward.entropies = result.at<C>();
        forward.state = flags & WANTS_STATE ? state.at<C>() : nullptr;
        return forward.run();
    });
}

// (input, target, mask, axes, ignore_index, temperature, flags): log p of each row's target, log Z, the entropy, and what
// the backward pass is told if that is wanted
const char* log_prob(Call& call) {
    const Tensor input = call.tensor(0), target = call.tensor(1), mask = call.tensor(2);
    const int64_t axes = call.integer(3), ignored = call.integer(4), flags = call.integer(6);
    const double temperature = call.number(5);
    const PerRow per_row(input, axes);
    const Tensor results[] = {per_row.result(call, wide_of(input)), per_row.result(call, wide_of(input)),
                              per_row.result(call, wide_of(input))};
    const Tensor state = state_result(call, per_row.count, flags, wide_of(input));
    for (const Tensor& result : results)
        if (!result.handle) return NO_MEMORY;
    if (!state.handle) return NO_MEMORY;
    const Tensor operands[] = {input, input, mask, per_row.operand(input)};
    return as_computed(input, [&](auto tag) {
        using C = typename decltype(tag)::type;
        Forward<C> forward(operands, axes, temperature, flags);
        forward.ids = target.at<int64_t>();
        forward.ignored = ignored;
        forward.log_probs = results[0].at<C>();
        forward.log_zs = results[1].at<C>();
        forward.entropies = results[2].at<C>();
        forward.state = flags & WANTS_STATE ? state.at<C>() : nullptr;
        return forward.run();
    });
}

// (input, state, target, mask, of_log_prob, of_log_z, of_entropy, axes, ignore_index, temperature, flags): the gradient of
// the input, of both
const char* backward(Call& call) {
    const Tensor input = call.tensor(0), state = call.tensor(1), target = call.tensor(2), mask = call.tensor(3);
    const Tensor of_log_prob = call.tensor(4), of_log_z = call.tensor(5), of_entropy = call.tensor(6);
    const int64_t axes = call.integer(7), ignored = call.integer(8), flags = call.integer(10);
    const double temperature = call.number(9);
    const PerRow per_row(input, axes);
    const Tensor result = call.result_like(input, input.dtype);
    if (!result.handle) return NO_MEMORY;
    const Tensor operands[] = {input, result, mask, per_row.operand(input)};
    return as_computed(input, [&](auto tag) {
        using C = typename decltype(tag)::type;
        Backward<C> backward(operands, axes, temperature, flags);
        backward.state = state.at<C>();
        backward.ids = target.at<int64_t>();
        backward.ignored = ignored;
        backward.of_log_prob = flags & OF_LOG_PROB ? of_log_prob.at<C>() : nullptr;
        backward.of_log_z = flags & OF_LOG_Z ? of_log_z.at<C>() : nullptr;
        backward.of_entropy = flags & OF_ENTROPY ? of_entropy.at<C>() : nullptr;
        return backward.run();
    });
}

}  // namespace

#define PASTE(a, b) a##b
#define NAMED(a, b) PASTE(a, b)

extern "C" __attribute__((visibility("hidden"))) int32_t NAMED(anymax_entropy_, ISA)(LibraryHandle library) {
    int32_t failed = 0;
    failed |= torch_library_impl(library, "anymax::entropy", boxed<entropy>, TORCH_VERSION);
    failed |= torch_library_impl(library, "anymax::log_prob", boxed<log_prob>, TORCH_VERSION);
    failed |= torch_library_impl(library, "anymax::log_prob_backward", boxed<backward>, TORCH_VERSION);
    return failed;
}
