// Cross-entropy with class ids, and its gradient from the same read of the scores. Formulas: api.py. The definition:
// reference.py.
//
// What the mean divides by follows from the targets alone, so it is known before the first row, and a row's gradient is
// written as soon as its log Z is known. The order of every sum follows from the length of the row, or from the number
// of rows, alone.

#include "../../_core/native/rows.h"

namespace {

enum Reduction { NONE, MEAN, SUM };
// the lowest two bits of the flags are the reduction
constexpr int64_t REDUCTION = 3, HAS_WEIGHT = 4, WANTS_GRADIENT = 8, HAS_PRIOR = 16;

enum { SCORES, GRADIENT, ROW, OPERANDS };

template <class C>
struct Losses {
    using Start = int64_t[OPERANDS];

    Layout<OPERANDS> layout;
    Operand<C, OPERANDS> input, gradient;
    bool stream;
    const int64_t* ids;
    const C *weight, *log_prior;  // per class, or nullptr
    int64_t ignored;
    C smoothing, z_loss;
    C sum_of_weights = 0;
    // what a loss multiplies the two terms of a row by
    C of_cost = 1, of_penalty = 1;
    // per row; the penalties are added to the costs where there is no room of their own
    C *costs = nullptr, *penalties = nullptr;

    Losses(const Tensor (&operands)[OPERANDS], int64_t axes, const C* weight, const C* log_prior, int64_t ignored,
           C smoothing, C z_loss)
        : layout(operands, axes),
          input(layout, SCORES, operands[SCORES]),
          gradient(layout, GRADIENT, operands[GRADIENT]),
          stream(operands[GRADIENT].numel() * (int64_t)sizeof(C) >= PAST_THE_CACHE),
          ids(operands[ROW].at<int64_t>()),
          weight(weight),
          log_prior(log_prior),
          ignored(ignored),
          smoothing(smoothing),
          z_loss(z_loss) {
        sum_of_weights = weight ? sum_of(weight, layout.length) : (C)layout.length;
    }

    bool is_class(int64_t id) const { return id >= 0 && id < layout.length; }

    // p * of_probs - [class is the target] * of_target - weight * of_weights is a row's gradient
    struct Factors {
        C of_probs, of_target, of_weights;
    };

    // Writes what a row costs, from the score of its target less the row's top, and `uniform`, the sum over the classes
    // of weight * -log p.
    Factors settle(int64_t row, int64_t id, C top, C log_sum, C target, C uniform) const {
        const C log_prob = target - log_sum, of_class = weight ? weight[id] : 1;
        const bool is_infinite = log_prob == -(C)INF && of_class != 0;
        C cost = log_prob == -(C)INF && of_class == 0 ? 0 : -of_class * log_prob;
        // an infinite cost stays, where smoothing leaves it the weight 0 too
        const C share = is_infinite ? 1 : 1 - smoothing;
        Factors factors{0, share * of_class * of_cost, 0};
        factors.of_probs = factors.of_target;
        if (smoothing > 0) {
            cost = share * cost + smoothing * (uniform / layout.length);
            factors.of_weights = smoothing * of_cost / layout.length;
            factors.of_probs += factors.of_weights * sum_of_weights;
        }
        C penalty = 0;
        if (z_loss > 0) {
            const C log_z = top + log_sum;
            penalty = z_loss * (log_z * log_z);
            factors.of_probs += 2 * z_loss * log_z * of_penalty;
        }
        costs[row] = penalties ? cost : cost + penalty;
        if (penalties) penalties[row] = penalty;
        return factors;
    }
    void settle_without_scores(int64_t row, C cost) const {
        costs[row] = cost;
        if (penalties) penalties[row] = 0;
    }

    // 0 is no term, also of an infinite cost
    INLINE Vec<C> weighted(int64_t at, int64_t count, Vec<C> cost) const {
        const Vec<C> factor = load_some(weight + at, count, (C)0);
        return factor == Vec<C>{} ? (cost == cost ? Vec<C>{} : cost) : factor * cost;
    }

    // A class of prior 0 has the score -inf whatever its input, which has no gradient then.
    static INLINE Vec<C> with_prior(Vec<C> score, Vec<C> log_prior) {
        return log_prior == all(-(C)INF) ? log_prior : score + log_prior;
    }
    const C* row_with_prior(const C* scores, C* room) const {
        for (int64_t at = 0; at < layout.length; at += LANES<C>) {
            const int64_t count = layout.length - at < LANES<C> ? layout.length - at : LANES<C>;
            const Vec<C> prior = load_some(log_prior + at, count, (C)0);
            store(room + at, with_prior(load_some(scores + at, count, (C)0), prior));
        }
        return room;
    }
    // the classes of a block, with the prior if there is one
    void copy_scores(const Start& start, const Block& block, C* tile) const {
        input.copy_tile(start, block, tile);
        if (!log_prior) return;
        for (int64_t id = block.first; id < block.last; ++id, tile += block.width)
            for (int64_t at = 0; at < block.count; at += LANES<C>)
                store(tile + at, with_prior(load(tile + at), all(log_prior[id])));
    }

    // In groups and step by step: a short row need not wait for its own sum.
    template <bool WITH_GRADIENT>
    bool rows(int64_t first, int64_t last) const {
        // one vector more: what is written past the cache may start in the middle of one
        const int64_t length = layout.length, padded = (length / LANES<C> + 2) * LANES<C>;
        const int64_t most = rows_of_group(padded);
        const Scratch scratch(2 * most * padded * sizeof(C));
        C *const rooms = scratch.as<C>(), *const exps = rooms + most * padded;
        if (!rooms) return false;
        const auto& neighbours = layout.neighbours();
        // while a group is worked on, the next one comes nearer
        const int64_t ahead = input.is_plain() && input.rows_are_contiguous() ? neighbours.strides[SCORES] : 0;
        Start starts[MOST_ROWS];
        const C* scores[MOST_ROWS];
        C tops[MOST_ROWS] = {}, sums[MOST_ROWS] = {}, log_sums[MOST_ROWS] = {};
        for (int64_t unit = first, count; unit < last; unit += count) {
            count = neighbours.size - unit % neighbours.size;
            if (count > most) count = most;
            if (count > last - unit) count = last - unit;
            layout.start_of(unit, starts[0]);
            for (int64_t row = 0; row < count; ++row) {
                Start& start = starts[row];
                if (row > 0) layout.neighbour_of(starts[0], row, start);
                const int64_t id = ids[start[ROW]];
                // nullptr: its scores do not count
                C* const room = rooms + row * padded;
                scores[row] = id != ignored && is_class(id) ? input.row(start, room) : nullptr;
                if (!scores[row]) continue;
                if (log_prior) scores[row] = row_with_prior(scores[row], room);
                tops[row] = largest(scores[row], length);
            }
            for (int64_t row = 0; row < count; ++row) {
                if (!scores[row]) continue;
                const C *const from = scores[row], *const next = from + count * ahead;
                C* const kept = exps + row * padded;
                const C top = tops[row];
                sums[row] = sum_over<C>(length, [&](int64_t at, int64_t some) INLINED {
                    prefetch(next + at);
                    const Vec<C> e = exp(load_some(from + at, some, -(C)INF) - top);
                    // what is behind the row's end is never read again
                    if (WITH_GRADIENT) store(kept + at, e);
                    return e;
                });
            }
            for (int64_t row = 0; row < count; row += LANES<C>) {
                const Vec<C> some = load(sums + row);
                // a sum is 1 or more, or NaN
                store(log_sums + row, some == some ? log(some) : some);
            }
            for (int64_t row = 0; row < count; ++row)
                finish_row<WITH_GRADIENT>(starts[row], scores[row], tops[row], sums[row], log_sums[row],
                                          exps + row * padded, rooms + row * padded);
        }
        if (WITH_GRADIENT && stream) finish_stores();
        return true;
    }

    // The costs of a row, and its gradient from e^(score - top) in `kept`.
    template <bool WITH_GRADIENT>
    INLINE void finish_row(const Start& start, const C* scores, C top, C sum, C log_sum, C* kept, C* room) const {
        const int64_t length = layout.length, row = start[ROW], id = ids[row];
        const auto write = [&](const auto& value) INLINED {
            if (!WITH_GRADIENT) return;
            C* const to = gradient.place(start, room);
            write_over(to, length, stream && to != room, value);
            gradient.put_row(start, to);
        };
        if (!scores) {
            const C nothing = id == ignored ? 0 : (C)NOT_A_NUMBER;
            settle_without_scores(row, nothing);
            return write([&](int64_t, int64_t) INLINED { return all(nothing); });
        }
        C uniform = 0;
        if (smoothing > 0)
            uniform = sum_over<C>(length, [&](int64_t at, int64_t count) INLINED {
                const Vec<C> cost = log_sum - (load_some(scores + at, count, top) - top);
                if (weight) return weighted(at, count, cost);
                return count == LANES<C> ? cost : first_lanes(cost, count);
            });
        const Factors factors = settle(row, id, top, log_sum, scores[id] - top, uniform);
        if (!WITH_GRADIENT) return;
        C factor = factors.of_probs / sum;
        if (smoothing == 0 && z_loss == 0) {
            // before the row is written, whose lines have left the cache then
            kept[id] -= sum;
        } else {
            for (int64_t at = 0; at < length; at += LANES<C>) {
                const int64_t count = length - at < LANES<C> ? length - at : LANES<C>;
                const Vec<C> shares = weight ? load_some(weight + at, count, (C)0) : all((C)1);
                store(kept + at, load(kept + at) * factor - shares * factors.of_weights);
            }
            kept[id] -= factors.of_target;
            factor = 1;
        }
        if (!log_prior) return write([&](int64_t at, int64_t) INLINED { return load(kept + at) * factor; });
        write([&](int64_t at, int64_t count) INLINED {
            const Vec<C> absent = all(-(C)INF), prior = load_some(log_prior + at, count, (C)0);
            return prior == absent ? Vec<C>{} : load(kept + at) * factor;
        });
    }

    // the lanes behind `count` made 0
    static INLINE Vec<C> first_lanes(Vec<C> value, int64_t count) {
        C lanes[LANES<C>];
        store(lanes, value);
        return load_part(lanes, count, (C)0);
    }

    // Rows side by side, without smoothing.
    template <bool WITH_GRADIENT>
    bool columns(const Tiling<C>& tiling, int64_t first, int64_t last) const {
        const int64_t width = tiling.width, length = layout.length, step = layout.neighbours().strides[ROW];
        const bool is_whole = tiling.height == length;
        const Scratch scratch(width * (4 + tiling.height) * sizeof(C));
        C* const tops = scratch.as<C>();
        if (!tops) return false;
        C *const sums = tops + width, *const targets = sums + width, *const factors = targets + width;
        C* const tile = factors + width;
        each_block(layout, tiling, first, last, [&](const Start& start, int64_t count) {
            const int64_t* const mine = ids + start[ROW];
            for (int64_t at = 0; at < width; at += LANES<C>) {
                store(tops + at, all(-(C)INF));
                store(sums + at, Vec<C>{});
                store(factors + at, Vec<C>{});
            }
            each_tile(tiling, length, count, [&](const Block& block) {
                copy_scores(start, block, tile);
                for (int64_t at = 0; at < count; ++at)
                    if (const int64_t id = mine[at * step]; id >= block.first && id < block.last)
                        targets[at] = tile[(id - block.first) * width + at];
                sum_tile<WITH_GRADIENT>(tile, block, is_whole, tops, sums);
            });
            for (int64_t at = 0; at < count; ++at) {
                const int64_t row = start[ROW] + at * step, id = ids[row];
                if (id == ignored || !is_class(id)) {
                    settle_without_scores(row, id == ignored ? 0 : (C)NOT_A_NUMBER);
                    // the sum is not to spoil an ignored row
                    factors[at] = costs[row];
                    targets[at] = 0;
                    continue;
                }
                const C log_sum = log_of(sums[at]);
                const Factors found = settle(row, id, tops[at], log_sum, targets[at] - tops[at], 0);
                factors[at] = found.of_probs / sums[at];
                targets[at] = found.of_target;
            }
            if (!WITH_GRADIENT) return;
            each_tile(tiling, length, count, [&](const Block& block) {
                if (!is_whole) copy_scores(start, block, tile);
                C* const end = tile + (block.last - block.first) * width;
                for (C* entry = tile; entry < end; entry += width)
                    for (int64_t at = 0; at < count; at += LANES<C>) {
                        const Vec<C> value = load(entry + at);
                        const Vec<C> e = is_whole ? value : exp(value - load(tops + at));
                        store(entry + at, e * load(factors + at));
                    }
                for (int64_t at = 0; at < count; ++at) {
                    const int64_t id = mine[at * step];
                    if (id == ignored) {
                        // whatever its scores are
                        if (!(sums[at] < (C)INF))
                            for (C* entry = tile + at; entry < end; entry += width) *entry = 0;
                    } else if (id >= block.first && id < block.last) {
                        tile[(id - block.first) * width + at] -= targets[at];
                    }
                }
                for (int64_t id = block.first; log_prior && id < block.last; ++id)
                    if (log_prior[id] == -(C)INF)
                        memset(tile + (id - block.first) * width, 0, count * sizeof(C));
                gradient.put_tile(start, block, tile);
            });
        });
        return true;
    }

    // Adds a tile to the sums of its columns, which are made smaller where it has a larger top.
    template <bool KEEP>
    static void sum_tile(C* tile, const Block& block, bool is_whole, C* tops, C* sums) {
        const int64_t width = block.width;
        C* const end = tile + (block.last - block.first) * width;
        for (int64_t at = 0; at < block.count; at += LANES<C>) {
            const Vec<C> before = load(tops + at);
            Vec<C> top = before;
            for (const C* entry = tile; entry < end; entry += width) top = larger(load(entry + at), top);
            store(tops + at, top);
            if (block.first > 0)
                store(sums + at, before == all(-(C)INF) ? Vec<C>{} : load(sums + at) * exp(before - top));
        }
        for (C* chunk = tile; chunk < end; chunk += CHUNK / 4 * width) {
            C* const last = end - chunk < CHUNK / 4 * width ? end : chunk + CHUNK / 4 * width;
            for (int64_t at = 0; at < block.count; at += LANES<C>) {
                const Vec<C> top = load(tops + at);
                Vec<C> sum{};
                for (C* entry = chunk; entry < last; entry += width) {
                    const Vec<C> e = exp(load(entry + at) - top);
                    sum += e;
                    if (KEEP && is_whole) store(entry + at, e);
                }
                store(sums + at, load(sums + at) + sum);
            }
        }
    }

    template <bool WITH_GRADIENT>
    const char* run() const {
        if (layout.rows == 0) return nullptr;
        const bool in_columns = layout.rows_are_columns(SCORES) && layout.rows_are_columns(GRADIENT) && smoothing == 0;
        if (layout.row_is_contiguous(SCORES) || !in_columns || layout.neighbours().size < LANES<C>)
            return in_parallel(layout.rows, GRAIN / (layout.length + 1), [&](int64_t first, int64_t last) {
                return rows<WITH_GRADIENT>(first, last);
            });
        const Tiling<C> tiling(layout);
        return in_parallel(
            layout.rows / layout.neighbours().size * tiling.blocks, GRAIN / (layout.length * tiling.width),
            [&](int64_t first, int64_t last) { return columns<WITH_GRADIENT>(tiling, first, last); });
    }

    // Rows to one loss. `room` holds the costs of `count` rows, and the penalties behind them.
    template <bool WITH_GRADIENT>
    const char* reduce(Reduction reduction, int64_t count, C* room, C* loss) {
        C by_weight = 1, by_number = 1;
        if (reduction == MEAN) {
            int64_t counted = 0;
            for (int64_t row = 0; row < count; ++row) {
                const bool counts = ids[row] != ignored;
                counted += counts;
                if (weight) room[row] = counts ? weight[is_class(ids[row]) ? ids[row] : 0] : 0;
            }
            by_number = (C)counted;
            by_weight = weight ? sum_of(room, count) : by_number;
            of_cost = by_weight == 0 ? 0 : 1 / by_weight;
            of_penalty = by_number == 0 ? 0 : 1 / by_number;
        }
        costs = room;
        penalties = room + count;
        if (const char* problem = run<WITH_GRADIENT>()) return problem;
        *loss = by_weight == 0 ? 0 : sum_of(costs, count) / by_weight;
        if (z_loss > 0 && by_number != 0) *loss += sum_of(penalties, count) / by_number;
        return nullptr;
    }
};

// (input, target, weight, log_prior, axis, ignore_index, label_smoothing, z_loss, flags): the target is contiguous and
// has the input's shape without the class axis, `weight` and `log_prior` are per class. The loss, and its gradient if
// wanted; both in the dtype of the computation.
template <bool WITH_GRADIENT>
const char* cross_entropy(Call& call) {
    const Tensor input = call.tensor(0), target = call.tensor(1), weight = call.tensor(2), log_prior = call.tensor(3);
    const int64_t axis = call.integer(4), ignored = call.integer(5), flags = call.integer(8);
    const double smoothing = call.number(6), z_loss = call.number(7);
    const auto reduction = (Reduction)(flags & REDUCTION);
    const int32_t wide = input.dtype == aoti_torch_dtype_float64() ? input.dtype : aoti_torch_dtype_float32();
    const Tensor loss =
        reduction == NONE ? call.result_reduced(target, 0, wide) : call.result(0, nullptr, nullptr, wide);
    const Tensor gradient = WITH_GRADIENT ? call.result_like(input, wide) : input;
    if (!loss.handle || !gradient.handle) return NO_MEMORY;
    int64_t strides[MOST_DIMS];
    const Tensor row = along_rows(target, input, axis, strides);
    const Tensor operands[] = {input, gradient, row};
    return as_computed(input, [&](auto tag) {
        using C = typename decltype(tag)::type;
        Losses<C> losses(operands, (int64_t)1 << axis, flags & HAS_WEIGHT ? weight.at<C>() : nullptr,
                         flags & HAS_PRIOR ? log_prior.at<C>() : nullptr, ignored, (C)smoothing, (C)z_loss);
        if (reduction == NONE) {
            losses.costs = loss.at<C>();
            return losses.template run<WITH_GRADIENT>();
        }
        const int64_t count = target.numel();
        const Scratch scratch(2 * count * sizeof(C));
        if (!scratch.as<C>()) return NO_MEMORY;
        return losses.template reduce<WITH_GRADIENT>(reduction, count, scratch.as<C>(), loss.at<C>());
    });
}

// (scores, target, weight, log_prior, factors, ignore_index, label_smoothing, z_loss, flags): what the rows of a matrix
// cost and their penalties, (2, rows). If the gradient is wanted, that of factors[0] * cost + factors[1] * penalty takes
// the scores' place.
const char* cross_entropy_in_place(Call& call) {
    const Tensor scores = call.tensor(0), target = call.tensor(1), weight = call.tensor(2), log_prior = call.tensor(3),
                 factors = call.tensor(4);
    const int64_t ignored = call.integer(5), flags = call.integer(8);
    const double smoothing = call.number(6), z_loss = call.number(7);
    const int32_t wide = scores.dtype == aoti_torch_dtype_float64() ? scores.dtype : aoti_torch_dtype_float32();
    const int64_t rows = scores.sizes[0], sizes[] = {2, rows}, strides[] = {rows > 1 ? rows : 1, 1};
    const Tensor result = call.result(2, sizes, strides, wide);
    if (!result.handle) return NO_MEMORY;
    const int64_t one_per_row[] = {1, 0};
    Tensor row = target;
    row.ndim = 2;
    row.sizes = scores.sizes;
    row.strides = one_per_row;
    const Tensor operands[] = {scores, scores, row};
    return as_computed(scores, [&](auto tag) {
        using C = typename decltype(tag)::type;
        Losses<C> losses(operands, 2, flags & HAS_WEIGHT ? weight.at<C>() : nullptr,
                         flags & HAS_PRIOR ? log_prior.at<C>() : nullptr, ignored, (C)smoothing, (C)z_loss);
        losses.of_cost = factors.at<C>()[0];
        losses.of_penalty = factors.at<C>()[1];
        losses.costs = result.at<C>();
        losses.penalties = result.at<C>() + rows;
        // two products read the gradient next
        losses.stream = false;
        return flags & WANTS_GRADIENT ? losses.template run<true>() : losses.template run<false>();
    });
}

}  // namespace

#define PASTE(a, b) a##b
#define NAMED(a, b) PASTE(a, b)

extern "C" __attribute__((visibility("hidden"))) int32_t NAMED(anymax_cross_entropy_, ISA)(LibraryHandle library) {
    int32_t failed = 0;
    failed |= torch_library_impl(library, "anymax::cross_entropy", boxed<cross_entropy<false>>, TORCH_VERSION);
    failed |= torch_library_impl(
        library, "anymax::cross_entropy_with_gradient", boxed<cross_entropy<true>>, TORCH_VERSION);
    failed |= torch_library_impl(
        library, "anymax::cross_entropy_in_place", boxed<cross_entropy_in_place>, TORCH_VERSION);
    return failed;
}
