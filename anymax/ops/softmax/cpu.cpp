// softmax, log_softmax and logsumexp, forward and backward. Formulas: api.py. The definition: reference.py.
//
// A row is read once from memory: its maximum first, then from the cache its exponentials into a scratch row, and
// from there the result. Rows that lie side by side (dim is not the last axis) are worked a vector of rows at a time.
// The order of every sum follows from the length of the row alone.

#include "../../_core/native/rows.h"

namespace {

enum Kind { PROBS, LOG_PROBS, LOG_Z };
// WIDE: the result is in the dtype of the computation, float32 for halves. FROM_SCORES: the backward pass is given the
// scores instead of the result.
enum Flag { HAS_MASK = 1, HAS_TEMPERATURE = 2, HAS_SINK = 4, WIDE = 8, FROM_SCORES = 16 };

// A temperature that is not positive spoils its row.
template <class C>
C checked(C temperature) {
    return temperature > 0 ? temperature : (C)NOT_A_NUMBER;
}

// Rows of fewer entries are not written past the cache one by one.
constexpr int64_t SHORT = 256;
// Fewer classes than this are divided by their sum.
constexpr int64_t FEW = 33;
// Terms of a column that are added up before they join its sum.
constexpr int64_t LINES = 8;

// entries of a row in one of its vectors
template <class C>
INLINE int64_t part(int64_t length, int vector) {
    const int64_t rest = length - vector * LANES<C>;
    return rest < 0 ? 0 : rest < LANES<C> ? rest : LANES<C>;
}
// Of a row of up to VECTORS vectors, unrolled; VECTORS = 0: of any row.
template <int VECTORS, class T>
INLINE Compute<T> largest_of(const T* row, int64_t length) {
    using C = Compute<T>;
    if (VECTORS == 0) return largest(row, length);
    Vec<C> top = all(-(C)INF);
#pragma GCC unroll 8
    for (int at = 0; at < VECTORS; ++at)
        top = larger(load_some_as(row + at * LANES<C>, part<C>(length, at), -(C)INF), top);
    return largest_of_lanes<C>(top);
}
template <int VECTORS, class C, class Action>
INLINE C sum_of(int64_t length, const Action& action) {
    if (VECTORS == 0) return sum_over<C>(length, action);
    Vec<C> sums[2] = {};
#pragma GCC unroll 8
    for (int at = 0; at < VECTORS; ++at) sums[at % 2] += action(at * LANES<C>, part<C>(length, at));
    return sum_of_lanes<C>(sums[0] + sums[1]);
}
// `over` where what follows the row may be overwritten too
template <int VECTORS, class T, class Action>
INLINE void write_of(T* to, int64_t length, bool stream, bool over, const Action& action) {
    using C = Compute<T>;
    if (VECTORS == 0 || stream) return write_over(to, length, stream, action);
#pragma GCC unroll 8
    for (int at = 0; at < VECTORS; ++at) {
        const int64_t count = part<C>(length, at);
        const Vec<C> value = action(at * LANES<C>, count);
        if (over || count == LANES<C>)
            store_as(to + at * LANES<C>, value);
        else
            store_part_as(to + at * LANES<C>, value, count);
    }
}

template <class C>
struct Options {
    C temperature = 1, sink = -(C)INF;
    bool tempered = false, sunk = false;
};

// What makes a result of e^d (a factor), of d (a shift) or log Z itself, where d = (x - top) / T; NaN for a row in which
// nothing takes part or a number is infinite or NaN.
template <Kind KIND, class C>
C finish(C top, C sum, const Options<C>& options) {
    if (KIND != LOG_Z && options.sink == (C)INF) return (C)NOT_A_NUMBER;
    if (!options.sunk) return KIND == PROBS ? 1 / sum : KIND == LOG_PROBS ? -log_of(sum) : top + log_of(sum);
    const C limit = sizeof(C) == 4 ? (C)3.40282347e38 : (C)1.7976931348623157e308;
    C level = top / options.temperature;
    level = level > limit ? limit : level < -limit ? -limit : level;
    // the larger of the row's top and the sink becomes e^0
    if (options.sink <= level) {
        const C total = sum + exp_of(options.sink - level);
        return KIND == PROBS ? 1 / total : KIND == LOG_PROBS ? -log_of(total) : level + log_of(total);
    }
    const C scale = exp_of(level - options.sink), total = sum * scale + 1;
    if (KIND == PROBS) return scale / total;
    return KIND == LOG_PROBS ? level - options.sink - log_of(total) : options.sink + log_of(total);
}

// The same of as many rows as a vector has lanes, without options.
template <Kind KIND, class C>
INLINE Vec<C> finish_plain(Vec<C> tops, Vec<C> sums) {
    if (KIND == PROBS) return 1 / sums;
    // a sum is 1 or more, or NaN
    const Vec<C> logs = sums == sums ? log(sums) : sums;
    return KIND == LOG_Z ? tops + logs : -logs;
}

// e^d, which is a probability's numerator, or only a term of the sum
template <Kind KIND, class V>
INLINE V term(V d) {
    return KIND == PROBS ? exp(d) : quick_exp(d);
}

// (x - top) / T; a score of -inf stays one, also where T is infinite
template <class C>
INLINE Vec<C> difference(Vec<C> scores, Vec<C> top, bool is_tempered, Vec<C> temperature) {
    const Vec<C> plain = scores - top;
    return is_tempered ? (scores == all(-(C)INF) ? plain : plain / temperature) : plain;
}

// The largest of a row of scores and the sum of e^d; what each entry becomes later, e^d or d, is kept.
template <class C>
struct Sum {
    C top, sum;
};
template <Kind KIND, class C>
INLINE Sum<C> sum_of_row(const C* scores, int64_t length, const Options<C>& options, C* kept) {
    const C top = largest(scores, length);
    const C sum = sum_over<C>(length, [&](int64_t at, int64_t count) INLINED {
        const Vec<C> d = difference<C>(
            load_some(scores + at, count, -(C)INF), all(top), options.tempered, all(options.temperature));
        const Vec<C> e = term<KIND>(d);
        // what is behind the row's end is never read again
        if (KIND != LOG_Z) store(kept + at, KIND == PROBS ? e : d);
        return e;
    });
    return {top, sum};
}

// Where the entries of one line, which lie side by side, start.
template <class C>
struct Lines {
    const C* base;
    const void* places;
    int operand;
    int64_t (*offset)(const void* places, int64_t entry, int operand);

    const C* of(int64_t entry) const { return base + offset(places, entry, operand); }
};
template <int K>
int64_t offset_in(const void* layout, int64_t entry, int operand) {
    return ((const Layout<K>*)layout)->offset_of(entry, operand);
}
int64_t offset_in_tile(const void* width, int64_t entry, int) { return entry * *(const int64_t*)width; }

// The same of the columns of a block. Sums so far are made smaller where the block has a larger top. With KEEP `tile`
// keeps what each entry becomes.
template <Kind KIND, bool KEEP, class C>
NOT_INLINED void sum_lines(const Block& block, const Lines<C>& line, bool is_tempered, const C* temperatures, C* tops,
                           C* sums, C* tile) {
    const auto d_of = [&](Vec<C> score, int64_t at) INLINED {
        return difference<C>(score, load(tops + at), is_tempered, load(temperatures + at));
    };
    // a few lines at once, which no cache puts into one place
    const C* lines[LINES];
    const auto each_few = [&](const auto& action) INLINED {
        for (int64_t entry = block.first; entry < block.last; entry += LINES) {
            const int64_t some = block.last - entry < LINES ? block.last - entry : LINES;
            for (int64_t at = 0; at < some; ++at) lines[at] = line.of(entry + at);
            int64_t at = 0;
            for (; at + LANES<C> <= block.count; at += LANES<C>) action(entry, some, at, (int64_t)LANES<C>);
            if (at < block.count) action(entry, some, at, block.count - at);
        }
    };
    C room[WIDEST];
    for (int64_t at = 0; at < block.count; at += LANES<C>) store(room + at, load(tops + at));
    each_few([&](int64_t entry, int64_t some, int64_t at, int64_t columns) INLINED {
        Vec<C> top = load(tops + at);
        for (int64_t of = 0; of < some; ++of) {
            const Vec<C> score = load_some(lines[of] + at, columns, -(C)INF);
            if (KEEP) store(tile + (entry - block.first + of) * block.width + at, score);
            top = larger(score, top);
        }
        store(tops + at, top);
    });
    for (int64_t at = 0; block.first > 0 && at < block.count; at += LANES<C>) {
        const Vec<C> before = load(room + at);
        store(sums + at, before == all(-(C)INF) ? Vec<C>{} : load(sums + at) * exp(d_of(before, at)));
    }
    each_few([&](int64_t entry, int64_t some, int64_t at, int64_t columns) INLINED {
        Vec<C> sum{};
        for (int64_t of = 0; of < some; ++of) {
            // while a block of columns is worked on, the next one comes nearer
            prefetch(lines[of] + at + block.width);
            C* const kept = KEEP ? tile + (entry - block.first + of) * block.width + at : nullptr;
            const Vec<C> score = KEEP ? load(kept) : load_some(lines[of] + at, columns, -(C)INF);
            const Vec<C> d = d_of(score, at), e = term<KIND>(d);
            sum += e;
            if (KEEP && KIND != LOG_Z) store(kept, KIND == PROBS ? e : d);
        }
        store(sums + at, load(sums + at) + sum);
    });
}

// The same of columns. Where a tile holds them whole it keeps what each entry becomes.
template <Kind KIND, class C, int K>
void sum_columns(const Operand<C, K>& scores, const int64_t (&start)[K], const Tiling<C>& tiling, int64_t count,
                 bool is_tempered, const C* temperatures, C* tops, C* sums, C* tile) {
    const int64_t width = tiling.width, length = scores.layout.length;
    const bool is_whole = tiling.height == length, in_place = scores.lines_are_in_place();
    for (int64_t at = 0; at < width; at += LANES<C>) {
        store(tops + at, all(-(C)INF));
        store(sums + at, Vec<C>{});
    }
    each_tile(tiling, length, count, [&](const Block& block) {
        if (!in_place) scores.copy_tile(start, block, tile);
        // the lines where they lie, or in the tile
        const Lines<C> lines =
            in_place ? Lines<C>{(C*)scores.data + start[scores.index], &scores.layout, scores.index, offset_in<K>}
                     : Lines<C>{tile - block.first * width, &block.width, 0, offset_in_tile};
        if (is_whole)
            sum_lines<KIND, true>(block, lines, is_tempered, temperatures, tops, sums, tile);
        else
            sum_lines<KIND, false>(block, lines, is_tempered, temperatures, tops, sums, tile);
    });
}

// A vector of scores, or of what `sum_columns` kept of them, becomes one of results.
template <Kind KIND, class C>
INLINE Vec<C> finished(Vec<C> value, int64_t at, bool is_kept, bool is_tempered, const C* temperatures, const C* tops,
                       const C* finals) {
    if (!is_kept) {
        value = difference<C>(value, load(tops + at), is_tempered, load(temperatures + at));
        if (KIND == PROBS) value = exp(value);
    }
    return KIND == PROBS ? value * load(finals + at) : value + load(finals + at);
}

template <Kind KIND, class C>
void finish_tile(C* tile, int64_t height, int64_t width, bool is_kept, bool is_tempered, const C* temperatures,
                 const C* tops, const C* finals) {
    for (C* const end = tile + height * width; tile < end; tile += width)
        for (int64_t at = 0; at < width; at += LANES<C>)
            store(tile + at, finished<KIND>(load(tile + at), at, is_kept, is_tempered, temperatures, tops, finals));
}

// Temperatures and sinks, a number of each per row; nullptr where there is none.
template <class C, int K>
struct PerRow {
    const C *temperature, *sink;
    int temperature_index, sink_index;

    PerRow(const Tensor (&operands)[K], int64_t flags, int temperature_index, int sink_index)
        : temperature(flags & HAS_TEMPERATURE ? (const C*)operands[temperature_index].data : nullptr),
          sink(flags & HAS_SINK ? (const C*)operands[sink_index].data : nullptr),
          temperature_index(temperature_index),
          sink_index(sink_index) {}

    Options<C> at(const int64_t (&start)[K]) const {
        Options<C> options;
        if (temperature) {
            options.tempered = true;
            options.temperature = checked(temperature[start[temperature_index]]);
        }
        if (sink) {
            options.sunk = true;
            options.sink = sink[start[sink_index]];
        }
        return options;
    }
    // the temperatures of the columns of a block, 1 where there is none
    void copy_temperatures(const Layout<K>& layout, const int64_t (&start)[K], int64_t count, int64_t width,
                           C* to) const {
        for (int64_t column = 0; column < width; column += LANES<C>) store(to + column, all((C)1));
        for (int64_t column = 0; temperature && column < count; ++column) {
            int64_t offsets[K];
            layout.neighbour_of(start, column, offsets);
            to[column] = at(offsets).temperature;
        }
    }
};

// A tensor of one number per row, of size 1 on the axes that compete, as one of the input's shape.
Tensor spread(const Tensor& reduced, int64_t axes, int64_t (&strides)[MOST_DIMS]) {
    for (int64_t axis = 0; axis < reduced.ndim; ++axis) strides[axis] = axes >> axis & 1 ? 0 : reduced.strides[axis];
    Tensor tensor = reduced;
    tensor.strides = strides;
    return tensor;
}

// ---- forward ----

enum { INPUT, RESULT, MASK, TEMPERATURE, SINK, OPERANDS };

template <class C>
struct Forward {
    using Start = int64_t[OPERANDS];

    Layout<OPERANDS> layout;
    Operand<C, OPERANDS> input, result;
    bool stream;
    PerRow<C, OPERANDS> per_row;

    Forward(const Tensor (&operands)[OPERANDS], int64_t axes, int64_t flags)
        : layout(operands, axes),
          input(layout, INPUT, operands[INPUT]),
          result(layout, RESULT, operands[RESULT]),
          stream(operands[RESULT].numel() * (int64_t)sizeof(C) >= PAST_THE_CACHE),
          per_row(operands, flags, TEMPERATURE, SINK) {
        if (flags & HAS_MASK) {
            input.mask = operands[MASK].at<bool>();
            input.mask_index = MASK;
            input.absent = -(C)INF;
        }
    }

    // A row in which nothing takes part or a number is infinite or NaN, entry by entry.
    NOT_INLINED void odd_row(Kind kind, const Start& start) const {
        const Options<C> options = per_row.at(start);
        const auto takes_part = [&](int64_t entry) {
            return !input.mask || input.mask[start[MASK] + layout.offset_of(entry, MASK)];
        };
        bool alive = false, spoilt = options.temperature != options.temperature || options.sink != options.sink ||
                                     (kind != LOG_Z && options.sink == (C)INF);
        C top = -(C)INF;
        for (int64_t entry = 0; entry < layout.length; ++entry) {
            if (!takes_part(entry)) continue;
            const C score = input.number(start[INPUT] + layout.offset_of(entry, INPUT));
            alive = true;
            spoilt |= score != score;
            top = larger(score, top);
        }
        if (kind == LOG_Z) {
            const C extreme = alive && top == (C)INF ? top : options.sink;
            result.set(start[RESULT], alive && spoilt ? (C)NOT_A_NUMBER : extreme);
            return;
        }
        // only the sink competes
        const bool beaten = top == -(C)INF && options.sunk && options.sink > -(C)INF && !spoilt;
        for (int64_t entry = 0; entry < layout.length; ++entry) {
            const C value = takes_part(entry) && !beaten ? (C)NOT_A_NUMBER : kind == PROBS ? 0 : -(C)INF;
            result.set(start[RESULT] + layout.offset_of(entry, RESULT), value);
        }
    }

    // of the row `at` places behind
    void set_log_z(const Start& start, int64_t at, C log_z) const {
        Start offsets;
        layout.neighbour_of(start, at, offsets);
        if (log_z == log_z)
            result.set(offsets[RESULT], log_z);
        else
            odd_row(LOG_Z, offsets);
    }

    // Whether rows are read and written where they lie, and nothing but their scores counts. A plain row in which nothing
    // takes part or a number is infinite or NaN has a final of NaN, so all of its results are NaN; only log Z is not.
    template <Kind KIND>
    bool is_plain() const {
        if (input.mask || per_row.temperature || per_row.sink || !input.rows_are_contiguous()) return false;
        return KIND == LOG_Z || (result.rows_are_contiguous() && result.type == input.type);
    }

    // Plain rows stored as T, in groups and step by step: a short row need not wait for its own sum. Rows of up to
    // VECTORS vectors have their steps unrolled; 0 is for those of any length.
    template <Kind KIND, class T, int VECTORS>
    bool plain_rows(int64_t first, int64_t last) const {
        // one vector more: what is written past the cache may start in the middle of one
        const int64_t length = layout.length, padded = ((VECTORS ? VECTORS - 1 : length / LANES<C>) + 2) * LANES<C>;
        const int64_t most = rows_of_group(padded);
        const auto& neighbours = layout.neighbours();
        const int64_t from_step = neighbours.strides[INPUT], to_step = neighbours.strides[RESULT];
        const Scratch scratch(2 * most * padded * sizeof(C));
        C* const kept = scratch.as<C>();
        if (!kept) return false;
        T* const written = (T*)(kept + most * padded);
        C tops[MOST_ROWS] = {}, finals[MOST_ROWS] = {};
        for (int64_t unit = first, count; unit < last; unit += count) {
            Start start;
            layout.start_of(unit, start);
            count = neighbours.size - unit % neighbours.size;
            if (count > most) count = most;
            if (count > last - unit) count = last - unit;
            const T* const from = (T*)input.data + start[INPUT];
            T* const to = (T*)result.data + start[RESULT];
            // what cannot be written past the cache row by row is written there as a group
            const bool is_cut = ((intptr_t)to | length * (int64_t)sizeof(T)) % BYTES != 0;
            const bool whole = stream && to_step == length && (sizeof(T) < sizeof(C) || (is_cut && length < SHORT));
            for (int64_t row = 0; row < count; ++row)
                tops[row] = largest_of<VECTORS>(from + row * from_step, length);
            for (int64_t row = 0; row < count; ++row) {
                const T* const scores = from + row * from_step;
                const T* const next = scores + count * from_step;
                C* const exps = kept + row * padded;
                finals[row] = sum_of<VECTORS, C>(length, [&](int64_t at, int64_t some) INLINED {
                    // while a group is worked on, the next one comes nearer
                    prefetch(next + at);
                    const Vec<C> e = term<KIND>(load_some_as(scores + at, some, -(C)INF) - tops[row]);
                    // what is behind the row's end is never read again
                    if (KIND == PROBS) store(exps + at, e);
                    return e;
                });
            }
            for (int64_t row = 0; row < count; row += LANES<C>) {
                const Vec<C> sums = load(finals + row);
                // a quotient is exact where a product with the inverse is not: probabilities of a few classes sum to 1
                const bool divides = KIND == PROBS && length < FEW;
                store(finals + row, divides ? sums : finish_plain<KIND, C>(load(tops + row), sums));
            }
            for (int64_t row = 0; row < count; ++row) {
                const C done = finals[row];
                if (KIND == LOG_Z) {
                    set_log_z(start, row, done);
                    continue;
                }
                const T* const scores = from + row * from_step;
                const C* const exps = kept + row * padded;
                const auto value = [&](int64_t at, int64_t some) INLINED {
                    if (KIND == PROBS) return length < FEW ? load(exps + at) / done : load(exps + at) * done;
                    return (load_some_as(scores + at, some, (C)0) - tops[row]) + done;
                };
                T* const place = whole ? written + row * length : to + row * to_step;
                write_of<VECTORS>(place, length, stream && !whole, whole, value);
            }
            if (KIND != LOG_Z && whole) write_past_the_cache(to, written, count * length * sizeof(T));
        }
        if (stream) finish_stores();
        return true;
    }

    // Plain rows of a vector at most that follow one another: as many of them at once as a vector has lanes.
    template <Kind KIND, class T>
    bool narrow_rows(int64_t first, int64_t last) const {
        constexpr int64_t MOST = 16 * LANES<C>;  // rows
        const int64_t length = layout.length, size = layout.neighbours().size;
        alignas(BYTES) T written[(MOST + 1) * LANES<C>];
        for (int64_t unit = first, count; unit < last; unit += count) {
            Start start;
            layout.start_of(unit, start);
            count = size - unit % size;
            if (count > MOST) count = MOST;
            if (count > last - unit) count = last - unit;
            const T* const from = (T*)input.data + start[INPUT];
            prefetch(from + count * length);
            for (int64_t row = 0; row < count; row += LANES<C>) {
                Vec<C> entries[LANES<C>];
                // whole vectors as long as other rows follow
                const bool is_inside = unit % size + row + 2 * LANES<C> <= size;
#pragma GCC unroll 16
                for (int lane = 0; lane < LANES<C>; ++lane) {
                    const T* const scores = from + (row + lane) * length;
                    entries[lane] = is_inside            ? load_as(scores)
                                    : row + lane < count ? load_some_as(scores, length, (C)0)
                                                         : Vec<C>{};
                }
                transpose<C>(entries);
                Vec<C> top = entries[0], sum{};
                for (int64_t entry = 1; entry < length; ++entry) top = larger(entries[entry], top);
                for (int64_t entry = 0; entry < length; ++entry) {
                    const Vec<C> d = entries[entry] - top, e = term<KIND>(d);
                    sum += e;
                    entries[entry] = KIND == PROBS ? e : d;
                }
                const Vec<C> log_sum = KIND == PROBS ? Vec<C>{} : sum == sum ? log(sum) : sum;
                if (KIND == LOG_Z) {
                    const Vec<C> log_z = top + log_sum;
                    for (int64_t lane = 0; lane < LANES<C> && row + lane < count; ++lane)
                        set_log_z(start, row + lane, log_z[lane]);
                    continue;
                }
                for (int64_t entry = 0; entry < length; ++entry)
                    entries[entry] = KIND == PROBS ? entries[entry] / sum : entries[entry] - log_sum;
                transpose<C>(entries);
                // in rising order, since each vector reaches into the next rows
#pragma GCC unroll 16
                for (int lane = 0; lane < LANES<C>; ++lane) store_as(written + (row + lane) * length, entries[lane]);
            }
            if (KIND != LOG_Z) {
                T* const to = (T*)result.data + start[RESULT];
                if (stream)
                    write_past_the_cache(to, written, count * length * sizeof(T));
                else
                    memcpy(to, written, count * length * sizeof(T));
            }
        }
        if (stream) finish_stores();
        return true;
    }

    template <Kind KIND, class T>
    bool plain_rows_of_any_length(int64_t first, int64_t last) const {
        const auto& steps = layout.neighbours().strides;
        const bool follow = steps[INPUT] == layout.length && (KIND == LOG_Z || steps[RESULT] == layout.length);
        // not for halves, whose rows are fast enough: each of these is a lot of code
        if constexpr (sizeof(T) == sizeof(C)) {
            if (layout.length <= LANES<C> && follow) return narrow_rows<KIND, T>(first, last);
            if (layout.length <= 4 * LANES<C>) return plain_rows<KIND, T, 4>(first, last);
            if (layout.length <= 8 * LANES<C>) return plain_rows<KIND, T, 8>(first, last);
        }
        return plain_rows<KIND, T, 0>(first, last);
    }

    template <Kind KIND>
    bool rows(int64_t first, int64_t last) const {
        if (is_plain<KIND>()) {
            bool succeeded = false;
            as_stored<C>(input.type, input.data, [&](auto* scores) {
                succeeded = plain_rows_of_any_length<KIND, Pointee<decltype(scores)>>(first, last);
            });
            return succeeded;
        }
        // one vector more: what is written past the cache may start in the middle of one
        const int64_t length = layout.length, padded = (length / LANES<C> + 2) * LANES<C>;
        const Scratch scratch(2 * padded * sizeof(C));
        C *const room = scratch.as<C>(), *const kept = room + padded;
        if (!room) return false;
        for (int64_t unit = first; unit < last; ++unit) {
            Start start;
            layout.start_of(unit, start);
            const Options<C> options = per_row.at(start);
            const C* scores = input.row(start, room);
            const Sum<C> found = sum_of_row<KIND>(scores, length, options, kept);
            const C done = finish<KIND>(found.top, found.sum, options);
            if (!(done == done)) {
                odd_row(KIND, start);
            } else if (KIND == LOG_Z) {
                result.set(start[RESULT], done);
            } else {
                C* const to = result.place(start, room);
                write_over(to, length, stream && to != room, [&](int64_t at, int64_t) INLINED {
                    return KIND == PROBS ? load(kept + at) * done : load(kept + at) + done;
                });
                result.put_row(start, to);
            }
        }
        if (stream) finish_stores();
        return true;
    }

    // A tile becomes one of results, line by line where they are wanted.
    template <Kind KIND>
    void write_tile(const Start& start, const Block& block, bool is_kept, bool is_tempered, const C* temperatures,
                    const C* tops, const C* finals, const C* tile) const {
        as_stored<C>(result.type, result.data, [&](auto* base) {
            for (int64_t entry = block.first; entry < block.last; ++entry, tile += block.width) {
                auto* const to = base + start[RESULT] + layout.offset_of(entry, RESULT);
                write_over(to, block.count, stream, [&](int64_t at, int64_t) INLINED {
                    return finished<KIND>(load(tile + at), at, is_kept, is_tempered, temperatures, tops, finals);
                });
            }
        });
    }

    // Whether columns are worked on in strips: whole rows, read and written where they lie, of which nothing but the
    // scores counts.
    template <Kind KIND>
    bool has_strips(const Tiling<C>& tiling) const {
        if (tiling.height < layout.length || layout.num_inner > 1 || per_row.temperature || per_row.sink) return false;
        if (!input.lines_are_in_place()) return false;
        return KIND == LOG_Z || (result.lines_are_in_place() && (!stream || result.lines_are_aligned()));
    }

    // A strip: what each entry becomes stays in the nearest caches until it is written.
    template <Kind KIND>
    void strip(const Start& start, C* tile) const {
        constexpr int PARTS = STRIP<C> / LANES<C>;
        const int64_t length = layout.length;
        const int64_t from_step = layout.line().strides[INPUT];
        const C* const from = (C*)input.data + start[INPUT];
        Vec<C> tops[PARTS], sums[PARTS] = {}, finals[PARTS];
        for (int part = 0; part < PARTS; ++part) tops[part] = all(-(C)INF);
        for (int64_t entry = 0; entry < length; ++entry)
#pragma GCC unroll 8
            for (int part = 0; part < PARTS; ++part) {
                const Vec<C> score = load(from + entry * from_step + part * LANES<C>);
                store(tile + entry * STRIP<C> + part * LANES<C>, score);
                tops[part] = larger(score, tops[part]);
            }
        for (int64_t first = 0; first < length; first += LINES) {
            const int64_t last = length - first < LINES ? length : first + LINES;
            Vec<C> some[PARTS] = {};
            for (int64_t entry = first; entry < last; ++entry)
#pragma GCC unroll 8
                for (int part = 0; part < PARTS; ++part) {
                    // while a strip is worked on, the second next comes nearer
                    if (part * BYTES % 64 == 0) prefetch(from + entry * from_step + 2 * STRIP<C> + part * LANES<C>);
                    C* const kept = tile + entry * STRIP<C> + part * LANES<C>;
                    const Vec<C> d = load(kept) - tops[part], e = term<KIND>(d);
                    if (KIND != LOG_Z) store(kept, KIND == PROBS ? e : d);
                    some[part] += e;
                }
            for (int part = 0; part < PARTS; ++part) sums[part] += some[part];
        }
        for (int part = 0; part < PARTS; ++part) finals[part] = finish_plain<KIND, C>(tops[part], sums[part]);
        for (int64_t at = 0; KIND == LOG_Z && at < STRIP<C>; ++at)
            set_log_z(start, at, finals[at / LANES<C>][at % LANES<C>]);
        if (KIND == LOG_Z) return;
        write_strip(result, start, stream, [&](int64_t entry, int part) INLINED {
            const Vec<C> kept = load(tile + entry * STRIP<C> + part * LANES<C>);
            return KIND == PROBS ? kept * finals[part] : kept + finals[part];
        });
    }

    template <Kind KIND>
    void block(const Tiling<C>& tiling, const Start& start, int64_t count, C* room) const {
        const int64_t width = tiling.width;
        C *const tops = room, *const sums = tops + width, *const finals = sums + width;
        C *const temperatures = finals + width, *const tile = temperatures + width;
        per_row.copy_temperatures(layout, start, count, width, temperatures);
        for (int64_t at = 0; at < width; at += LANES<C>) store(finals + at, Vec<C>{});
        const bool is_tempered = per_row.temperature != nullptr, is_whole = tiling.height == layout.length;
        sum_columns<KIND>(input, start, tiling, count, is_tempered, temperatures, tops, sums, tile);
        bool odd = false;
        for (int64_t at = 0; !per_row.sink && at < count; at += LANES<C>)
            store(finals + at, finish_plain<KIND, C>(load(tops + at), load(sums + at)));
        for (int64_t at = 0; at < count; ++at) {
            Start offsets;
            if (per_row.sink || KIND == LOG_Z) layout.neighbour_of(start, at, offsets);
            if (per_row.sink) finals[at] = finish<KIND>(tops[at], sums[at], per_row.at(offsets));
            odd |= !(finals[at] == finals[at]);
            if (KIND == LOG_Z) result.set(offsets[RESULT], finals[at]);
        }
        if (KIND != LOG_Z)
            each_tile(tiling, layout.length, count, [&](const Block& block) {
                if (!is_whole) input.copy_tile(start, block, tile);
                write_tile<KIND>(start, block, is_whole, is_tempered, temperatures, tops, finals, tile);
            });
        for (int64_t at = 0; odd && at < count; ++at)
            if (!(finals[at] == finals[at])) {
                Start offsets;
                layout.neighbour_of(start, at, offsets);
                odd_row(KIND, offsets);
            }
    }

    template <Kind KIND>
    bool columns(const Tiling<C>& tiling, bool in_strips, int64_t first, int64_t last) const {
        // one vector more: what is written past the cache may start in the middle of one
        const Scratch scratch((tiling.width * (4 + tiling.height) + LANES<C>) * sizeof(C));
        C* const room = scratch.as<C>();
        if (!room) return false;
        each_block(layout, tiling, first, last, [&](const Start& start, int64_t count) {
            if (in_strips && count == STRIP<C>)
                strip<KIND>(start, room);
            else
                block<KIND>(tiling, start, count, room);
        });
        if (stream) finish_stores();
        return true;
    }

    template <Kind KIND>
    const char* run() const {
        if (layout.rows == 0 || (layout.length == 0 && KIND != LOG_Z)) return nullptr;
        const bool in_rows = layout.row_is_contiguous(INPUT) && (KIND == LOG_Z || layout.row_is_contiguous(RESULT));
        const bool in_columns = layout.rows_are_columns(INPUT) && (KIND == LOG_Z || layout.rows_are_columns(RESULT));
        if (in_rows || !in_columns || layout.neighbours().size < LANES<C> || layout.length == 0)
            return in_parallel(layout.rows, GRAIN / (layout.length + 1), [&](int64_t first, int64_t last) {
                return rows<KIND>(first, last);
            });
        Tiling<C> tiling(layout);
        const bool in_strips = has_strips<KIND>(tiling);
        if (in_strips) tiling.cut_into(STRIP<C>, layout.neighbours().size);
        return in_parallel(
            layout.rows / layout.neighbours().size * tiling.blocks, GRAIN / (layout.length * tiling.width),
            [&](int64_t first, int64_t last) { return columns<KIND>(tiling, in_strips, first, last); });
    }
};

template <Kind KIND>
const char* forward(Call& call, const Tensor& input, const Tensor& mask, const Tensor& temperature, const Tensor& sink,
                    int64_t axes, int64_t flags) {
    int64_t strides[MOST_DIMS];
    const int32_t wide = input.dtype == aoti_torch_dtype_float64() ? input.dtype : aoti_torch_dtype_float32();
    Tensor result = KIND == LOG_Z ? call.result_reduced(input, axes, wide)
                                  : call.result_like(input, flags & WIDE ? wide : input.dtype);
    if (!result.handle) return NO_MEMORY;
    if (KIND == LOG_Z) result = spread(result, axes, strides);
    int64_t of_temperature[MOST_DIMS], of_sink[MOST_DIMS];
    const Tensor operands[] = {
        input, result, mask, spread(temperature, axes, of_temperature), spread(sink, axes, of_sink)};
    return as_computed(input, [&](auto tag) {
        return Forward<typename decltype(tag)::type>(operands, axes, flags).template run<KIND>();
    });
}

// ---- backward ----

enum { VALUE, GRAD, GRAD_INPUT, BACKWARD_MASK, BACKWARD_TEMPERATURE, BACKWARD_SINK, BACKWARD_OPERANDS };
// of log Z
constexpr int LOG_Z_OF_ROW = BACKWARD_SINK;

// From the gradient g of the result y and y itself: p (g - sum of g p) / T for probabilities, (g - p sum of g) / T for
// their logarithms, and from the scores and log Z g p for log Z. A result that was rounded to a half is computed again
// from the scores: its error times the score would be the gradient's.
template <class C>
struct Backward {
    using Start = int64_t[BACKWARD_OPERANDS];

    Layout<BACKWARD_OPERANDS> layout;
    Operand<C, BACKWARD_OPERANDS> value, grad, grad_input, log_z;
    bool from_scores, stream;
    const bool* mask;
    PerRow<C, BACKWARD_OPERANDS> per_row;

    Backward(const Tensor (&operands)[BACKWARD_OPERANDS], int64_t axes, int64_t flags, Kind kind)
        : layout(operands, axes),
          value(layout, VALUE, operands[VALUE]),
          grad(layout, GRAD, operands[GRAD]),
          grad_input(layout, GRAD_INPUT, operands[GRAD_INPUT]),
          log_z(layout, LOG_Z_OF_ROW, operands[LOG_Z_OF_ROW]),
          from_scores(flags & FROM_SCORES),
          stream(operands[GRAD_INPUT].numel() * (int64_t)sizeof(C) >= PAST_THE_CACHE),
          mask(flags & HAS_MASK ? operands[BACKWARD_MASK].at<bool>() : nullptr),
          per_row(operands, flags, BACKWARD_TEMPERATURE, BACKWARD_SINK) {
        // what is masked has no gradient, and its score is not read
        if (mask) {
            grad.mask = value.mask = mask;
            grad.mask_index = value.mask_index = BACKWARD_MASK;
            value.absent = kind == PROBS && !from_scores ? 0 : -(C)INF;
        }
    }

    // Whether every score of a row is -inf, so that a sink takes all.
    NOT_INLINED bool is_beaten(const Start& start) const {
        const Options<C> options = per_row.at(start);
        if (!(options.sink > -(C)INF && options.sink < (C)INF && options.temperature > 0)) return false;
        for (int64_t entry = 0; entry < layout.length; ++entry) {
            if (mask && !mask[start[BACKWARD_MASK] + layout.offset_of(entry, BACKWARD_MASK)]) continue;
            if (value.number(start[VALUE] + layout.offset_of(entry, VALUE)) != -(C)INF) return false;
        }
        return true;
    }

    template <Kind KIND>
    static INLINE Vec<C> gradient(Vec<C> g, Vec<C> y, Vec<C> sum, bool is_tempered, Vec<C> temperature) {
        if (KIND == LOG_Z) return g * exp(y - sum);
        const Vec<C> found = KIND == PROBS ? y * (g - sum) : g - exp(y) * sum;
        return is_tempered ? found / temperature : found;
    }

    // Entries that are masked, in a row with an infinite or NaN term.
    NOT_INLINED void clear_masked(const Start& start) const {
        for (int64_t entry = 0; mask && entry < layout.length; ++entry)
            if (!mask[start[BACKWARD_MASK] + layout.offset_of(entry, BACKWARD_MASK)])
                grad_input.set(start[GRAD_INPUT] + layout.offset_of(entry, GRAD_INPUT), 0);
    }

    // Whether a result and its gradient are read and written where they lie, and nothing else counts.
    template <Kind KIND>
    bool is_plain() const {
        if (KIND == LOG_Z || from_scores || mask || per_row.temperature) return false;
        return value.is_plain() && grad.is_plain() && grad_input.is_plain();
    }

    template <Kind KIND>
    INLINE C sum_of_terms(const C* g, const C* y) const {
        return sum_over<C>(layout.length, [&](int64_t at, int64_t count) INLINED {
            const Vec<C> grads = load_some(g + at, count, (C)0);
            return KIND == PROBS ? grads * load_some(y + at, count, (C)0) : grads;
        });
    }

    template <Kind KIND>
    bool plain_rows(int64_t first, int64_t last) const {
        const int64_t length = layout.length;
        const auto& neighbours = layout.neighbours();
        for (int64_t unit = first, count; unit < last; unit += count) {
            Start start;
            layout.start_of(unit, start);
            count = neighbours.size - unit % neighbours.size;
            if (count > last - unit) count = last - unit;
            const C *g = (C*)grad.data + start[GRAD], *y = (C*)value.data + start[VALUE];
            C* to = (C*)grad_input.data + start[GRAD_INPUT];
            for (int64_t row = 0; row < count; ++row) {
                const Vec<C> sum = all(sum_of_terms<KIND>(g, y));
                write_over(to, length, stream, [&](int64_t at, int64_t some) INLINED {
                    const Vec<C> grads = load_some(g + at, some, (C)0), values = load_some(y + at, some, (C)0);
                    return gradient<KIND>(grads, values, sum, false, sum);
                });
                g += neighbours.strides[GRAD];
                y += neighbours.strides[VALUE];
                to += neighbours.strides[GRAD_INPUT];
            }
        }
        if (stream) finish_stores();
        return true;
    }

    template <Kind KIND>
    bool rows(int64_t first, int64_t last) const {
        if (is_plain<KIND>() && value.rows_are_contiguous() && grad.rows_are_contiguous() &&
            grad_input.rows_are_contiguous())
            return plain_rows<KIND>(first, last);
        // one vector more: what is written past the cache may start in the middle of one
        const int64_t length = layout.length, padded = (length / LANES<C> + 2) * LANES<C>;
        const Scratch scratch(2 * padded * sizeof(C));
        C *const room = scratch.as<C>(), *const other = room + padded;
        if (!room) return false;
        for (int64_t unit = first; unit < last; ++unit) {
            Start start;
            layout.start_of(unit, start);
            const Options<C> options = per_row.at(start);
            const C *g = grad.row(start, room), *y = value.row(start, other);
            bool is_odd = false;
            if (KIND != LOG_Z && from_scores) {
                const Sum<C> found = sum_of_row<KIND>(y, length, options, other);
                C done = finish<KIND>(found.top, found.sum, options);
                is_odd = !(done == done);
                y = other;
                const bool is_gone = is_odd && is_beaten(start);
                write_over(other, length, false, [&](int64_t at, int64_t) INLINED {
                    if (is_gone) return all(KIND == PROBS ? 0 : -(C)INF);
                    return KIND == PROBS ? load(other + at) * done : load(other + at) + done;
                });
            }
            const C sum = KIND == LOG_Z ? log_z.number(start[LOG_Z_OF_ROW]) : sum_of_terms<KIND>(g, y);
            C* const to = grad_input.place(start, room);
            write_over(to, length, stream && to != room, [&](int64_t at, int64_t count) INLINED {
                return gradient<KIND>(load_some(g + at, count, (C)0), load_some(y + at, count, (C)0), all(sum),
                                      options.tempered, all(options.temperature));
            });
            grad_input.put_row(start, to);
            if (mask && (is_odd || !(sum - sum == 0))) clear_masked(start);
        }
        if (stream) finish_stores();
        return true;
    }

    template <Kind KIND>
    bool has_strips(const Tiling<C>& tiling) const {
        if (!is_plain<KIND>() || tiling.height < layout.length || layout.num_inner > 1) return false;
        if (!value.lines_are_in_place() || !grad.lines_are_in_place() || !grad_input.lines_are_in_place()) return false;
        return !stream || grad_input.lines_are_aligned();
    }

    // A strip of columns: what is read stays in the nearest caches until the sum is known.
    template <Kind KIND>
    void strip(const Start& start, C* tile) const {
        constexpr int PARTS = STRIP<C> / LANES<C>;
        const auto& line = layout.line();
        const C *const g = (C*)grad.data + start[GRAD], *const y = (C*)value.data + start[VALUE];
        C* const ys = tile + layout.length * STRIP<C>;
        Vec<C> sums[PARTS] = {};
        for (int64_t entry = 0; entry < layout.length; ++entry)
#pragma GCC unroll 8
            for (int part = 0; part < PARTS; ++part) {
                const C* const grads = g + entry * line.strides[GRAD] + part * LANES<C>;
                const C* const values = y + entry * line.strides[VALUE] + part * LANES<C>;
                const Vec<C> one = load(grads), other = load(values);
                // while a strip is worked on, the second next comes nearer
                if (part * BYTES % 64 == 0) {
                    prefetch(grads + 2 * STRIP<C>);
                    prefetch(values + 2 * STRIP<C>);
                }
                store(tile + entry * STRIP<C> + part * LANES<C>, one);
                store(ys + entry * STRIP<C> + part * LANES<C>, other);
                sums[part] += KIND == PROBS ? one * other : one;
            }
        write_strip(grad_input, start, stream, [&](int64_t entry, int part) INLINED {
            const int64_t at = entry * STRIP<C> + part * LANES<C>;
            return gradient<KIND>(load(tile + at), load(ys + at), sums[part], false, sums[part]);
        });
    }

    template <Kind KIND>
    bool columns(const Tiling<C>& tiling, bool in_strips, int64_t first, int64_t last) const {
        const int64_t width = tiling.width, size = width * tiling.height;
        const Scratch scratch((4 * width + 2 * size) * sizeof(C));
        C* const sums = scratch.as<C>();
        if (!sums) return false;
        C *const temperatures = sums + width, *const tops = temperatures + width, *const finals = tops + width;
        C *const gs = finals + width, *const ys = gs + size;
        each_block(layout, tiling, first, last, [&](const Start& start, int64_t count) {
            if (in_strips && count == STRIP<C>) return strip<KIND>(start, gs);
            per_row.copy_temperatures(layout, start, count, width, temperatures);
            for (int64_t at = 0; at < width; at += LANES<C>) store(finals + at, Vec<C>{});
            const bool is_tempered = per_row.temperature != nullptr, is_whole = tiling.height == layout.length;
            if (KIND != LOG_Z && from_scores) {
                sum_columns<KIND>(value, start, tiling, count, is_tempered, temperatures, tops, sums, ys);
                for (int64_t at = 0; at < count; ++at) {
                    Start offsets;
                    layout.neighbour_of(start, at, offsets);
                    finals[at] = finish<KIND>(tops[at], sums[at], per_row.at(offsets));
                    // what a sink takes all of: e^-inf for every entry
                    if (!(finals[at] == finals[at]) && is_beaten(offsets)) {
                        for (int64_t entry = at; is_whole && entry < size; entry += width)
                            ys[entry] = KIND == PROBS ? 0 : -(C)INF;
                        tops[at] = finals[at] = 0;
                    }
                }
                if (is_whole)
                    finish_tile<KIND>(ys, tiling.height, width, true, is_tempered, temperatures, tops, finals);
            }
            for (int64_t at = 0; at < width; at += LANES<C>) store(sums + at, Vec<C>{});
            for (int64_t at = 0; KIND == LOG_Z && at < count; ++at) {
                Start offsets;
                layout.neighbour_of(start, at, offsets);
                sums[at] = log_z.number(offsets[LOG_Z_OF_ROW]);
            }
            for (int sweep = KIND == LOG_Z; sweep < 2; ++sweep)
                each_tile(tiling, layout.length, count, [&](const Block& block) {
                    if (sweep == 0 || !is_whole || KIND == LOG_Z) {
                        grad.copy_tile(start, block, gs);
                        if (!is_whole || KIND == LOG_Z || !from_scores) value.copy_tile(start, block, ys);
                        if (!is_whole && KIND != LOG_Z && from_scores)
                            finish_tile<KIND>(ys, block.last - block.first, width, false, is_tempered, temperatures,
                                              tops, finals);
                    }
                    const int64_t end = (block.last - block.first) * width;
                    for (int64_t at = 0; at < count; at += LANES<C>) {
                        const Vec<C> sum = load(sums + at);
                        if (sweep == 0) {
                            Vec<C> added{};
                            for (int64_t entry = at; entry < end; entry += width)
                                added += KIND == PROBS ? load(gs + entry) * load(ys + entry) : load(gs + entry);
                            store(sums + at, sum + added);
                            continue;
                        }
                        const Vec<C> divisor = load(temperatures + at);
                        for (int64_t entry = at; entry < end; entry += width) {
                            const Vec<C> g = load(gs + entry), y = load(ys + entry);
                            store(gs + entry, gradient<KIND>(g, y, sum, is_tempered, divisor));
                        }
                    }
                    if (sweep == 1) grad_input.put_tile(start, block, gs);
                });
            for (int64_t at = 0; mask && at < count; ++at) {
                if (sums[at] - sums[at] == 0 && finals[at] == finals[at]) continue;
                Start offsets;
                layout.neighbour_of(start, at, offsets);
                clear_masked(offsets);
            }
        });
        if (stream) finish_stores();
        return true;
    }

    template <Kind KIND>
    const char* run() const {
        if (layout.rows == 0 || layout.length == 0) return nullptr;
        const bool in_columns = layout.rows_are_columns(VALUE) && layout.rows_are_columns(GRAD_INPUT);
        if (layout.row_is_contiguous(VALUE) || !in_columns || layout.neighbours().size < LANES<C>)
            return in_parallel(layout.rows, GRAIN / (layout.length + 1), [&](int64_t first, int64_t last) {
                return rows<KIND>(first, last);
            });
        Tiling<C> tiling(layout, 2);
        const bool in_strips = has_strips<KIND>(tiling);
        if (in_strips) tiling.cut_into(STRIP<C>, layout.neighbours().size);
        return in_parallel(
            layout.rows / layout.neighbours().size * tiling.blocks, GRAIN / (layout.length * tiling.width),
            [&](int64_t first, int64_t last) { return columns<KIND>(tiling, in_strips, first, last); });
    }
};

// ---- what torch calls ----

// (input, axes)
template <Kind KIND>
const char* plain(Call& call) {
    const Tensor input = call.tensor(0);
    return forward<KIND>(call, input, input, input, input, call.integer(1), 0);
}

// (input, mask, temperature, sink, axes, flags), where what is absent is the input
template <Kind KIND>
const char* with_options(Call& call) {
    const Tensor input = call.tensor(0), mask = call.tensor(1), temperature = call.tensor(2), sink = call.tensor(3);
    return forward<KIND>(call, input, mask, temperature, sink, call.integer(4), call.integer(5));
}

template <Kind KIND>
const char* backward(Call& call, const Tensor& grad, const Tensor& value, const Tensor& mask, const Tensor& temperature,
                     const Tensor& sink, int64_t axes, int64_t flags) {
    const Tensor result = call.result_like(value, grad.dtype);
    if (!result.handle) return NO_MEMORY;
    int64_t of_temperature[MOST_DIMS], of_sink[MOST_DIMS];
    const Tensor operands[] = {
        value, grad, result, mask, spread(temperature, axes, of_temperature), spread(sink, axes, of_sink)};
    return as_computed(value, [&](auto tag) {
        return Backward<typename decltype(tag)::type>(operands, axes, flags, KIND).template run<KIND>();
    });
}

// (grad, result, axes)
template <Kind KIND>
const char* backward_of_plain(Call& call) {
    const Tensor grad = call.tensor(0), result = call.tensor(1);
    return backward<KIND>(call, grad, result, result, result, result, call.integer(2), 0);
}

// (grad, result or scores, mask, temperature, sink, axes, flags), where what is absent is the result
template <Kind KIND>
const char* backward_with_options(Call& call) {
    const Tensor grad = call.tensor(0), value = call.tensor(1), mask = call.tensor(2), temperature = call.tensor(3),
                 sink = call.tensor(4);
    return backward<KIND>(call, grad, value, mask, temperature, sink, call.integer(5), call.integer(6));
}

// (grad, input, log_z, mask, axes, flags): grad and log_z have size 1 on the axes that competed
const char* log_z_backward(Call& call) {
    const Tensor grad = call.tensor(0), input = call.tensor(1), log_z = call.tensor(2), mask = call.tensor(3);
    const Tensor result = call.result_like(input, input.dtype);
    if (!result.handle) return NO_MEMORY;
    const int64_t axes = call.integer(4), flags = call.integer(5);
    int64_t strides[MOST_DIMS], other_strides[MOST_DIMS];
    const Tensor operands[] = {
        input, spread(grad, axes, strides), result, mask, input, spread(log_z, axes, other_strides)};
    return as_computed(input, [&](auto tag) {
        return Backward<typename decltype(tag)::type>(operands, axes, flags, LOG_Z).template run<LOG_Z>();
    });
}

}  // namespace

#define PASTE(a, b) a##b
#define NAMED(a, b) PASTE(a, b)

extern "C" __attribute__((visibility("hidden"))) int32_t NAMED(anymax_softmax_, ISA)(LibraryHandle library) {
    int32_t failed = 0;
    const auto add = [&](const char* name, BoxedKernel kernel) {
        failed |= torch_library_impl(library, name, kernel, TORCH_VERSION);
    };
    add("anymax::softmax", boxed<plain<PROBS>>);
    add("anymax::log_softmax", boxed<plain<LOG_PROBS>>);
    add("anymax::logsumexp", boxed<plain<LOG_Z>>);
    add("anymax::softmax_with", boxed<with_options<PROBS>>);
    add("anymax::log_softmax_with", boxed<with_options<LOG_PROBS>>);
    add("anymax::logsumexp_with", boxed<with_options<LOG_Z>>);
    add("anymax::softmax_backward", boxed<backward_of_plain<PROBS>>);
    add("anymax::log_softmax_backward", boxed<backward_of_plain<LOG_PROBS>>);
    add("anymax::softmax_backward_with", boxed<backward_with_options<PROBS>>);
    add("anymax::log_softmax_backward_with", boxed<backward_with_options<LOG_PROBS>>);
    add("anymax::logsumexp_backward", boxed<log_z_backward>);
    return failed;
}
