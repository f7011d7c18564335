// sparsemax, entmax and their losses. Formulas: api.py. The definition: reference.py.
//
// Scores that lie 1 / (alpha - 1) or more below the largest have probability 0, so a row is read once for the few
// others, its candidates, and from these, in double, follows the level at which the probabilities sum to 1. Then the
// row is read from the cache once more and its result, most of it zeros, is written. The order of every sum follows
// from the row alone.

#include "../../_core/native/rows.h"

namespace {

// Powers of 1 / (alpha - 1) that need no logarithm: those of sparsemax and of alpha = 1.5. And every other.
enum Power { ONE, SQUARE, ANY };

enum Flag { HAS_MASK = 4, HAS_TEMPERATURE = 8, HAS_WEIGHT = 16 };

enum { SCORES, RESULT, MASK, TEMPERATURE, ROW, OPERANDS };

// Entries that are looked through while they are in the nearest cache.
constexpr int64_t BLOCK = 2048;
// So many candidates are made fewer before more are looked for, and so few are solved for beside those of other rows.
constexpr int64_t MANY = 256, FEW = 32;
// Rows that are worked on together, one in each lane.
constexpr int ROWS = LANES<double>;
// Steps of Newton's method at most, and one that is as good as none.
constexpr int MOST_STEPS = 100;
constexpr double LEAST_STEP = 1e-14;
// Of the distance from the largest score to the cut: what the sums of Newton's steps may be off by.
constexpr double ROUNDING = 0x1p-48;

// log(1 + y) where w = 1 + y is what is left of it after rounding
INLINE Vec<double> log_of_sum(Vec<double> y, Vec<double> w) {
    return w == all(1.0) ? y : log(w) * (y / (w - 1));
}
// e^x - 1, of small x too
INLINE Vec<double> exp_less_one(Vec<double> x) {
    const Vec<double> e = exp(x);
    return e == all(1.0) ? x : (e - 1) * (x / log(e));
}

// With a = alpha - 1 and u = a (x - top) / T, an entry has the probability w^(1/a) where w = u - level + ORIGIN is
// positive. The origin is where w keeps its digits: 1 where its logarithm is taken, else 0, near which all of a long row
// may be.
template <Power POWER>
struct Curve {
    static constexpr double ORIGIN = POWER == ANY ? 1 : 0;
    double a, power;

    explicit Curve(double alpha) : a(alpha - 1), power(1 / (alpha - 1)) {}

    // of y = w - ORIGIN; 0 where w is not positive
    INLINE Vec<double> probability(Vec<double> y, Vec<double> w) const {
        const Bits<double> inside = w > Vec<double>{};
        if (POWER == ONE) return inside ? w : Vec<double>{};
        if (POWER == SQUARE) return inside ? w * w : Vec<double>{};
        const Vec<double> log_w = log_of_sum(inside ? y : Vec<double>{}, inside ? w : all(1.0));
        return inside ? exp(log_w * power) : Vec<double>{};
    }

    // The levels at which the probabilities sum to 1: of a row in each lane, or of one whose entries fill the lanes.
    // Newton's method on their norm of order a, a convex function of the level, comes from below and never too far; a
    // step to where they would sum to 1 if no further entry left is the last one if none does.
    template <bool IS_ONE>
    NOT_INLINED Vec<double> levels_of(const double* list, int64_t count, Vec<double> is_open) const {
        Vec<double> level = all(ORIGIN - 1);
        for (int step = 0; step < MOST_STEPS && not_below<double>(is_open, all(1.0)); ++step) {
            Vec<double> sum{}, slope{}, number{}, smallest = all(INF);
            for (const double* const end = list + count; list < end; list += LANES<double>) {
                const Vec<double> y = load(list) - level, w = y + ORIGIN, p = probability(y, w);
                const Bits<double> inside = w > Vec<double>{};
                sum += p;
                if (POWER == ANY) slope += inside ? p / w : Vec<double>{};
                if (POWER == SQUARE) slope += inside ? w : Vec<double>{};
                if (POWER == ANY) continue;
                number += inside ? all(1.0) : Vec<double>{};
                smallest = inside & (w < smallest) ? w : smallest;
            }
            list -= count;
            if (IS_ONE) {
                sum = all(sum_of_lanes<double>(sum));
                slope = all(sum_of_lanes<double>(slope));
                number = all(sum_of_lanes<double>(number));
                smallest = all(-largest_of_lanes<double>(-smallest));
            }
            Vec<double> by;
            // what is left of much has its rounding, and is taken again from where it leads to
            const Bits<double> is_small = sum < all(2.0);
            Bits<double> is_last;
            if (POWER == ONE) {
                by = (sum - 1) / number;
                is_last = (by <= smallest) & is_small;
            } else if (POWER == SQUARE) {
                const Vec<double> square = slope * slope, rest = square - number * (sum - 1);
                const Vec<double> exact = (sum - 1) / (slope + square_root<double>(larger(rest, Vec<double>{})));
                const Bits<double> is_exact = (rest >= Vec<double>{}) & (exact <= smallest);
                by = is_exact ? exact : (sum - square_root<double>(sum)) / slope;
                is_last = is_exact & is_small & (rest > square / 64);
            } else {
                by = -sum / slope * exp_less_one(log(sum) * -a);
                is_last = ~(by > all(LEAST_STEP * a));
            }
            level = is_open > Vec<double>{} ? level + by : level;
            is_open = is_last ? Vec<double>{} : is_open;
        }
        return level;
    }

    // where the cut is, counted from the largest score
    INLINE double cut_of(double level) const { return (level - ORIGIN) * power; }
};

// What the probabilities of a row follow from. The largest score and the level; and the cut, below which they are 0, as
// a sum of two numbers, so that a score less the cut is as exact as the score. A score less than a rounding above the
// cut is on it.
template <class C>
struct Solution {
    C top, high, low, rounding;
    double level;
    bool is_sound;  // there is one: not where nothing takes part or a number is infinite or NaN
};

// Room of one thread: for each of the rows that are worked on together, its entries that may have a probability.
template <Power POWER, class C>
struct Solver {
    const Curve<POWER>& curve;
    const int64_t padded;
    double* const u;
    C* const lists;
    int64_t counts[ROWS] = {};
    Solution<C> found[ROWS] = {};

    // behind a list that is a row, the vector that ends it and what a vector of the row has too much
    static int64_t padded_to(int64_t length) { return (length / LANES<C> + 3) * LANES<C>; }
    static int64_t bytes(int64_t length) { return padded_to(length) * (ROWS * sizeof(C) + sizeof(double)); }

    Solver(const Curve<POWER>& curve, void* room, int64_t length)
        : curve(curve), padded(padded_to(length)), u((double*)room), lists((C*)(u + padded)) {}

    C* list_of(int row) const { return lists + row * padded; }

    // Adds to a list what is not below the bound; `from` may be the list itself. Whether a number is infinite or NaN.
    static bool choose(const C* from, int64_t length, C bound, C* list, int64_t& count) {
        constexpr int PARTS = 4;
        const Vec<C> bounds = all(bound);
        unsigned spoilt = 0;
        const auto add = [&](Vec<C> value, unsigned lanes) INLINED {
            spoilt |= not_below<C>(value, all((C)INF));
            count += store_chosen(list + count, value, lanes);
        };
        int64_t at = 0;
        for (; at + PARTS * LANES<C> <= length; at += PARTS * LANES<C>) {
            unsigned lanes[PARTS], any = 0;
#pragma GCC unroll 4
            for (int part = 0; part < PARTS; ++part) {
                // while a block is looked through, the next one comes nearer
                prefetch(from + at + part * LANES<C> + BLOCK);
                any |= lanes[part] = not_below<C>(load(from + at + part * LANES<C>), bounds);
            }
            if (!any) continue;
#pragma GCC unroll 4
            for (int part = 0; part < PARTS; ++part) add(load(from + at + part * LANES<C>), lanes[part]);
        }
        for (; at < length; at += LANES<C>) {
            const int64_t some = length - at < LANES<C> ? length - at : LANES<C>;
            const Vec<C> value = load_some(from + at, some, -(C)INF);
            if (const unsigned lanes = not_below<C>(value, bounds)) add(value, lanes);
        }
        // the rest of a vector that is read as a whole
        store(list + count, all(-(C)INF));
        return spoilt != 0;
    }

    INLINE Vec<double> us_of(const C* scores, C top) const { return (load_as_double(scores) - (double)top) * curve.a; }

    double level_of(C* list, int64_t count, C top) const {
        const int64_t whole = (count + LANES<double> - 1) / LANES<double> * LANES<double>;
        for (int64_t at = 0; at < whole; at += LANES<double>) store(u + at, us_of(list + at, top));
        return curve.template levels_of<true>(u, whole, all(1.0))[0];
    }

    // Looks a row through.
    void look(int row, const C* scores, int64_t length) {
        const C reach = (C)(1.000001 * curve.power);
        C top = -(C)INF, bound = top;
        C* const list = list_of(row);
        int64_t many = MANY, count = 0;
        bool is_spoilt = false;
        for (int64_t block = 0; block < length; block += BLOCK) {
            const int64_t some = length - block < BLOCK ? length - block : BLOCK;
            top = larger(largest(scores + block, some), top);
            bound = larger(top - reach, bound);
            is_spoilt |= choose(scores + block, some, bound, list, count);
            if (count < many || block + BLOCK >= length) continue;
            // the cut of a part of the row is not above that of all of it
            bound = larger((C)((double)top + curve.cut_of(level_of(list, count, top))), bound);
            const int64_t before = count;
            count = 0;
            choose(list, before, bound, list, count);
            many = 2 * count + MANY;
        }
        counts[row] = count;
        found[row].top = top;
        found[row].is_sound = top > -(C)INF && !is_spoilt;
    }

    // Solves what was looked through.
    void solve(int rows) {
        Vec<double> levels{}, is_open{};
        int64_t most = 0;
        for (int row = 0; row < rows; ++row) {
            if (!found[row].is_sound) continue;
            if (counts[row] > FEW) {
                levels[row] = level_of(list_of(row), counts[row], found[row].top);
                continue;
            }
            is_open[row] = 1;
            most = larger(most, counts[row]);
        }
        if (most > 0) {
            double square[FEW * ROWS];
            for (int64_t at = 0; at < most; ++at) store(square + at * ROWS, all(-INF));
            for (int row = 0; row < rows; ++row) {
                if (is_open[row] == 0) continue;
                const double top = found[row].top;
                for (int64_t at = 0; at < counts[row]; ++at)
                    square[at * ROWS + row] = ((double)list_of(row)[at] - top) * curve.a;
            }
            const Vec<double> open = curve.template levels_of<false>(square, most * ROWS, is_open);
            levels = is_open > Vec<double>{} ? open : levels;
        }
        for (int row = 0; row < rows; ++row) {
            Solution<C>& one = found[row];
            one.level = levels[row];
            // the larger number first
            const double below = curve.cut_of(one.level), above = one.top, high = one.high = (C)(above + below);
            one.rounding = (C)(-below * ROUNDING);
            one.low = (C)(-below > (above < 0 ? -above : above) ? (below - high) + above : (above - high) + below);
        }
    }

    // the probabilities of a vector of scores
    INLINE Vec<C> probabilities(Vec<C> score, const Solution<C>& one) const {
        if (POWER == ANY) {
            if (!not_below<C>(score, all(one.high))) return Vec<C>{};
            C lanes[LANES<C>];
            store(lanes, score);
            for (int at = 0; at < LANES<C>; at += LANES<double>) {
                const Vec<double> y = us_of(lanes + at, one.top) - one.level;
                store_double_as(lanes + at, curve.probability(y, y + curve.ORIGIN));
            }
            return load(lanes);
        }
        Vec<C> w;
        if (sizeof(C) == sizeof(double)) {
            // as the level was found, so that a score on the cut has none
            w = (score - one.top) - (C)curve.cut_of(one.level);
        } else {
            // what rounding takes from the first difference comes back, so that a probability of 1 is 1
            const Vec<C> over = score - one.high, lost = score - (over + one.high);
            w = over + (lost - one.low);
        }
        w = w > all(one.rounding) ? w : Vec<C>{};
        return POWER == ONE ? w : (w * (C)0.5) * (w * (C)0.5);
    }
};

// ---- rows, wherever they lie ----

// A row: what is read of it as C, where its result goes, which may take the place of what is read, and whether that is
// to be written past the cache.
template <class C, int K, int N>
struct Row {
    int64_t start[K];
    const C* from[N];
    C* to;
    bool past;
};

// action(room, rows, count) for every few rows; `written` may be nullptr.
template <class C, int K, int N>
struct Passage {
    const Layout<K>& layout;
    const Operand<C, K>* const (&reads)[N];
    const Operand<C, K>* written;
    bool stream;

    template <class Action>
    const char* run(int64_t room, const Action& action) const {
        if (layout.rows == 0 || layout.length == 0) return nullptr;
        const bool are_columns =
            layout.rows_are_columns(reads[0]->index) && (!written || layout.rows_are_columns(written->index));
        if (reads[0]->rows_are_contiguous() || !are_columns || layout.neighbours().size < LANES<C>)
            return in_parallel(layout.rows, GRAIN / (layout.length + 1), [&](int64_t first, int64_t last) {
                return rows(room, first, last, action);
            });
        Tiling<C> tiling(layout);
        tiling.cut_into(STRIP<C>, layout.neighbours().size);
        return in_parallel(
            layout.rows / layout.neighbours().size * tiling.blocks, GRAIN / (layout.length * tiling.width),
            [&](int64_t first, int64_t last) { return strips(tiling, room, first, last, action); });
    }

   private:
    template <class Action>
    bool rows(int64_t room, int64_t first, int64_t last, const Action& action) const {
        // one vector more: what is written past the cache may start in the middle of one
        const int64_t padded = (layout.length / LANES<C> + 2) * LANES<C>;
        const Scratch scratch(ROWS * N * padded * sizeof(C) + room);
        C* const rooms = scratch.as<C>();
        if (!rooms) return false;
        Row<C, K, N> some[ROWS];
        // as many as stay in the second cache until they are written
        const int64_t fitting = TILE / (layout.length * sizeof(C));
        const int64_t most = fitting < 1 ? 1 : fitting < ROWS ? fitting : ROWS;
        for (int64_t unit = first, count; unit < last; unit += count) {
            count = last - unit < most ? last - unit : most;
            for (int row = 0; row < count; ++row) {
                Row<C, K, N>& one = some[row];
                C* const mine = rooms + row * N * padded;
                layout.start_of(unit + row, one.start);
                for (int at = 0; at < N; ++at) one.from[at] = reads[at]->row(one.start, mine + at * padded);
                one.to = written ? written->place(one.start, mine) : nullptr;
                one.past = stream && one.to != mine;
            }
            action(rooms + ROWS * N * padded, some, count);
            for (int row = 0; written && row < count; ++row) written->put_row(some[row].start, some[row].to);
        }
        if (stream) finish_stores();
        return true;
    }

    // Neighbouring rows become rows of a room, a square of entries at a time.
    template <class Action>
    bool strips(const Tiling<C>& tiling, int64_t room, int64_t first, int64_t last, const Action& action) const {
        const int64_t length = layout.length, width = tiling.width, padded = (length / LANES<C> + 1) * LANES<C>;
        const Scratch scratch((N + 1) * width * padded * sizeof(C) + room);
        C* const tile = scratch.as<C>();
        if (!tile) return false;
        C* const rooms = tile + width * padded;
        each_block(layout, tiling, first, last, [&](const int64_t (&start)[K], int64_t count) {
            const Block block{0, length, count, width};
            for (int at = 0; at < N; ++at) {
                reads[at]->copy_tile(start, block, tile);
                turn(tile, width, length, width, rooms + at * width * padded, padded);
            }
            Row<C, K, N> some[ROWS];
            for (int64_t at = 0; at < count; at += ROWS) {
                const int64_t few = count - at < ROWS ? count - at : ROWS;
                for (int row = 0; row < few; ++row) {
                    Row<C, K, N>& one = some[row];
                    layout.neighbour_of(start, at + row, one.start);
                    for (int of = 0; of < N; ++of) one.from[of] = rooms + (of * width + at + row) * padded;
                    one.to = rooms + (at + row) * padded;
                    one.past = false;
                }
                action(rooms + N * width * padded, some, few);
            }
            if (!written) return;
            turn(rooms, padded, width, length, tile, width);
            if (count == width && written->lines_are_in_place() && layout.num_inner == 1 &&
                (!stream || written->lines_are_aligned()))
                write_strip(*written, start, stream, [&](int64_t entry, int part) INLINED {
                    return load(tile + entry * width + part * LANES<C>);
                });
            else
                written->put_tile(start, block, tile);
        });
        if (stream) finish_stores();
        return true;
    }

    // to[column][row] = from[row][column]; both have room for whole vectors of rows and columns
    NOT_INLINED static void turn(const C* from, int64_t from_step, int64_t rows, int64_t columns, C* to,
                                 int64_t to_step) {
        for (int64_t row = 0; row < rows; row += LANES<C>)
            for (int64_t column = 0; column < columns; column += LANES<C>) {
                Vec<C> square[LANES<C>];
#pragma GCC unroll 16
                for (int at = 0; at < LANES<C>; ++at) square[at] = load(from + (row + at) * from_step + column);
                transpose<C>(square);
#pragma GCC unroll 16
                for (int at = 0; at < LANES<C>; ++at) store(to + (column + at) * to_step + row, square[at]);
            }
    }
};

// ---- forward ----

template <Power POWER, class C>
struct Forward {
    using Start = int64_t[OPERANDS];
    using One = Row<C, OPERANDS, 1>;

    Layout<OPERANDS> layout;
    Operand<C, OPERANDS> input, result;
    const C* temperature;  // per row, or nullptr
    Curve<POWER> curve;
    bool stream;

    Forward(const Tensor (&operands)[OPERANDS], int64_t axes, double alpha, int64_t flags)
        : layout(operands, axes),
          input(layout, SCORES, operands[SCORES]),
          result(layout, RESULT, operands[RESULT]),
          temperature(flags & HAS_TEMPERATURE ? operands[TEMPERATURE].at<C>() : nullptr),
          curve(alpha),
          stream(operands[RESULT].numel() * (int64_t)sizeof(C) >= PAST_THE_CACHE) {
        if (flags & HAS_MASK) {
            input.mask = operands[MASK].at<bool>();
            input.mask_index = MASK;
            input.absent = -(C)INF;
        }
    }

    bool takes_part(const Start& start, int64_t entry) const {
        return !input.mask || input.mask[start[MASK] + layout.offset_of(entry, MASK)];
    }

    // The scores of a row as they compete: (x - top) / T, in `room`, where there is a temperature. A score of -inf
    // stays one, also where T is infinite, and a temperature that is not positive spoils its row.
    const C* competing(const Start& start, const C* scores, C* room) const {
        if (!temperature) return scores;
        const C top = largest(scores, layout.length), given = temperature[start[TEMPERATURE]];
        const C divisor = given > 0 ? given : (C)NOT_A_NUMBER;
        write_over(room, layout.length, false, [&](int64_t at, int64_t count) INLINED {
            const Vec<C> score = load_some(scores + at, count, -(C)INF), d = score - top;
            return score == all(-(C)INF) ? d : d / divisor;
        });
        return room;
    }

    C tempered(const Start& start, C of_quotient) const {
        return temperature ? of_quotient / temperature[start[TEMPERATURE]] : of_quotient;
    }

    // A row without a solution.
    NOT_INLINED void spoil(const Start& start, C* to) const {
        for (int64_t entry = 0; entry < layout.length; ++entry)
            to[entry] = takes_part(start, entry) ? (C)NOT_A_NUMBER : 0;
    }

    // action(solver, row, at) for every row, the `at`-th of its solver; `counts(row)` says whether its scores are to be
    // looked at.
    template <class Counts, class Action>
    const char* run(bool writes, const Counts& counts, const Action& action) const {
        const Operand<C, OPERANDS>* const reads[] = {&input};
        const Passage<C, OPERANDS, 1> passage{layout, reads, writes ? &result : nullptr, writes && stream};
        const int64_t length = layout.length, of_solver = Solver<POWER, C>::bytes(length);
        const int64_t padded = (length / LANES<C> + 1) * LANES<C>;
        const int64_t of_tempered = temperature ? ROWS * padded * sizeof(C) : 0;
        return passage.run(of_solver + of_tempered, [&](void* room, One (&rows)[ROWS], int count) {
            Solver<POWER, C> solver(curve, room, length);
            C* const tempered = (C*)((char*)room + of_solver);
            for (int at = 0; at < count; ++at) {
                solver.found[at].is_sound = false;
                if (!counts(rows[at])) continue;
                rows[at].from[0] = competing(rows[at].start, rows[at].from[0], tempered + at * padded);
                solver.look(at, rows[at].from[0], length);
            }
            solver.solve(count);
            for (int at = 0; at < count; ++at) action(solver, rows[at], at);
        });
    }

    const char* probabilities() const {
        return run(true, [](const One&) { return true; }, [&](const Solver<POWER, C>& solver, const One& row, int at) {
            const Solution<C>& found = solver.found[at];
            if (!found.is_sound) return spoil(row.start, row.to);
            write_over(row.to, layout.length, row.past, [&](int64_t at, int64_t count) INLINED {
                return solver.probabilities(load_some(row.from[0] + at, count, -(C)INF), found);
            });
        });
    }
};

// action(Constant<POWER>) for the power that alpha asks for
template <Power POWER>
struct Constant {
    static constexpr Power value = POWER;
};
template <class Action>
const char* with_power(double alpha, const Action& action) {
    return alpha == 2 ? action(Constant<ONE>{}) : alpha == 1.5 ? action(Constant<SQUARE>{}) : action(Constant<ANY>{});
}

// (input, mask, temperature, axes, alpha, flags), where what is absent is the input
const char* entmax(Call& call) {
    const Tensor input = call.tensor(0), mask = call.tensor(1), temperature = call.tensor(2);
    const int64_t axes = call.integer(3), flags = call.integer(5);
    const double alpha = call.number(4);
    const Tensor result = call.result_like(input, input.dtype);
    if (!result.handle) return NO_MEMORY;
    const Tensor operands[] = {input, result, mask, temperature, input};
    return as_computed(input, [&](auto tag) {
        using C = typename decltype(tag)::type;
        return with_power(alpha, [&](auto power) {
            return Forward<decltype(power)::value, C>(operands, axes, alpha, flags).probabilities();
        });
    });
}

// ---- backward ----

// From the probabilities p and the gradient g of them, where p > 0: q (g - <q, g> / sum of q) / T, q = p^(2 - alpha).
enum { PROBS, GRAD, GRAD_INPUT, BACKWARD_TEMPERATURE, BACKWARD_OPERANDS };

template <Power POWER, class C>
struct Backward {
    using One = Row<C, BACKWARD_OPERANDS, 2>;

    Layout<BACKWARD_OPERANDS> layout;
    Operand<C, BACKWARD_OPERANDS> probs, grad, grad_input;
    const C* temperature;
    C power;
    bool stream;

    Backward(const Tensor (&operands)[BACKWARD_OPERANDS], int64_t axes, double alpha, int64_t flags)
        : layout(operands, axes),
          probs(layout, PROBS, operands[PROBS]),
          grad(layout, GRAD, operands[GRAD]),
          grad_input(layout, GRAD_INPUT, operands[GRAD_INPUT]),
          temperature(flags & HAS_TEMPERATURE ? operands[BACKWARD_TEMPERATURE].at<C>() : nullptr),
          power((C)(2 - alpha)),
          stream(operands[GRAD_INPUT].numel() * (int64_t)sizeof(C) >= PAST_THE_CACHE) {}

    // q: 0 where p is 0, and NaN where it is NaN
    INLINE Vec<C> weight(Vec<C> p) const {
        if (POWER == ONE) return p == Vec<C>{} ? p : 1 + (p - p);
        if (POWER == SQUARE) return square_root<C>(p);
        const C smallest = sizeof(C) == 4 ? (C)1.2e-38 : (C)2.3e-308;
        return p == Vec<C>{} ? p : exp(log(p < smallest ? all(smallest) : p) * power) + (p - p);
    }

    // Vectors in which every probability is 0 are passed over: there the gradient is not even read.
    static INLINE bool is_outside(Vec<C> p) {
        return !not_below<C>(p, all(sizeof(C) == 4 ? (C)1.4e-45 : (C)4.9e-324));
    }

    const char* run() const {
        const Operand<C, BACKWARD_OPERANDS>* const reads[] = {&probs, &grad};
        const Passage<C, BACKWARD_OPERANDS, 2> passage{layout, reads, &grad_input, stream};
        return passage.run(0, [&](void*, const One (&rows)[ROWS], int count) {
            C means[ROWS];
            // of all rows first, so that none waits for its own gradient
            for (int row = 0; row < count; ++row) means[row] = mean_of(rows[row].from[0], rows[row].from[1]);
            for (int row = 0; row < count; ++row) write(rows[row], means[row]);
        });
    }

    // <q, g> / sum of q
    C mean_of(const C* ps, const C* gs) const {
        constexpr int PARTS = 4;
        const int64_t length = layout.length;
        Vec<C> weights{}, products{};
        for (int64_t chunk = 0; chunk < length; chunk += CHUNK * LANES<C>) {
            const int64_t end = length - chunk < CHUNK * LANES<C> ? length : chunk + CHUNK * LANES<C>;
            Vec<C> some{}, others{};
            const auto add = [&](int64_t at, int64_t count) INLINED {
                const Vec<C> p = load_some(ps + at, count, (C)0);
                if (is_outside(p)) return;
                const Vec<C> q = weight(p);
                some += q;
                others += p == Vec<C>{} ? p : q * load_some(gs + at, count, (C)0);
            };
            int64_t at = chunk;
            for (; at + PARTS * LANES<C> <= end; at += PARTS * LANES<C>) {
                Vec<C> p[PARTS];
#pragma GCC unroll 4
                for (int part = 0; part < PARTS; ++part) p[part] = load(ps + at + part * LANES<C>);
                // a sum of NaN is NaN
                if (is_outside((p[0] + p[1]) + (p[2] + p[3]))) continue;
                for (int part = 0; part < PARTS; ++part) add(at + part * LANES<C>, LANES<C>);
            }
            for (; at < end; at += LANES<C>) add(at, end - at < LANES<C> ? end - at : LANES<C>);
            weights += some;
            products += others;
        }
        return sum_of_lanes<C>(products) / sum_of_lanes<C>(weights);
    }

    void write(const One& row, C mean) const {
        const C *const ps = row.from[0], *const gs = row.from[1];
        const C divisor = temperature ? temperature[row.start[BACKWARD_TEMPERATURE]] : 1;
        write_over(row.to, layout.length, row.past, [&](int64_t at, int64_t count) INLINED {
            const Vec<C> p = load_some(ps + at, count, (C)0);
            if (is_outside(p)) return Vec<C>{};
            const Vec<C> found = weight(p) * (load_some(gs + at, count, (C)0) - mean);
            return p == Vec<C>{} ? p : temperature ? found / divisor : found;
        });
    }
};

// (grad, result, temperature, axes, alpha, flags)
const char* backward(Call& call) {
    const Tensor grad = call.tensor(0), probs = call.tensor(1), temperature = call.tensor(2);
    const int64_t axes = call.integer(3), flags = call.integer(5);
    const double alpha = call.number(4);
    const Tensor result = call.result_like(probs, grad.dtype);
    if (!result.handle) return NO_MEMORY;
    const Tensor operands[] = {probs, grad, result, temperature};
    return as_computed(probs, [&](auto tag) {
        using C = typename decltype(tag)::type;
        return with_power(alpha, [&](auto power) {
            return Backward<decltype(power)::value, C>(operands, axes, alpha, flags).run();
        });
    });
}

// ---- losses ----

enum Reduction { NONE, MEAN, SUM };
// the lowest two bits of the flags are the reduction
constexpr int64_t REDUCTION = 3;

// What a row costs, and its gradient, whose entry of the target is minus the sum of the others.
template <Power POWER, class C>
struct Losses : Forward<POWER, C> {
    using typename Forward<POWER, C>::Start;
    using typename Forward<POWER, C>::One;
    using Forward<POWER, C>::layout;

    const int64_t* ids;
    const C* weight;  // per class, or nullptr
    int64_t ignored;
    double alpha;
    C of_cost = 1;  // what the loss multiplies the costs by
    C* costs = nullptr;

    Losses(const Tensor (&operands)[OPERANDS], int64_t axis, const C* weight, int64_t ignored, double alpha,
           int64_t flags)
        : Forward<POWER, C>(operands, (int64_t)1 << axis, alpha, flags),
          ids(operands[ROW].at<int64_t>()),
          weight(weight),
          ignored(ignored),
          alpha(alpha) {}

    bool is_class(int64_t id) const { return id >= 0 && id < layout.length; }

    struct Cost {
        double value, others;  // the sum of all probabilities but the target's
    };

    // With s that sum, and w of the target, the cost is (1 - w (1 + a s)) / (alpha a) + sum of p_j w_j / alpha over the
    // others, and what the target's score is below the cut.
    Cost cost_of(const Solver<POWER, C>& solver, int row, C target) const {
        const Solution<C>& found = solver.found[row];
        const C* const list = solver.list_of(row);
        constexpr double ORIGIN = Curve<POWER>::ORIGIN;
        const double a = this->curve.a, u = ((double)target - (double)found.top) * a, y = u - found.level, w = y + ORIGIN;
        Vec<double> others{}, powers{}, alike{};
        for (int64_t at = 0; at < solver.counts[row]; at += LANES<double>) {
            const Vec<double> us = solver.us_of(list + at, found.top), ys = us - found.level, ws = ys + ORIGIN;
            const Vec<double> p = this->curve.probability(ys, ws);
            others += us == all(u) ? Vec<double>{} : p;
            powers += us == all(u) ? Vec<double>{} : p > Vec<double>{} ? p * ws : p;
            alike += us == all(u) ? all(1.0) : Vec<double>{};
        }
        double sum = sum_of_lanes<double>(others), power = sum_of_lanes<double>(powers);
        if (!(w > 0)) return {(1 / a + power) / alpha - w / a, sum};
        const double equals = sum_of_lanes<double>(alike) - 1, p = this->curve.probability(all(y), all(w))[0];
        sum += equals * p;
        power += equals * p * w;
        // of a small s the difference is made of its series
        const double tail = 1 / 3.0 - sum * (a - 2) * (1 / 8.0 - sum * (a - 3) / 30);
        const double series = sum * sum * (0.5 - sum * (a - 1) * tail);
        return {(sum < 1e-3 ? series : -(y + (ORIGIN - 1) + a * sum * w) / (alpha * a)) + power / alpha, sum};
    }

    // What a row without a solution costs; a score of -inf has a gradient in plain rows only, and not as the target.
    NOT_INLINED C spoilt(const Start& start, int64_t id, C* to) const {
        bool is_empty = true;
        for (int64_t entry = 0; entry < layout.length; ++entry) {
            const bool counts = this->takes_part(start, entry);
            is_empty = is_empty && !counts;
            if (!to) continue;
            const bool may_be_zero = this->input.mask || this->temperature || entry == id;
            const bool is_zero =
                may_be_zero && this->input.number(start[SCORES] + layout.offset_of(entry, SCORES)) == -(C)INF;
            to[entry] = !counts || is_zero ? 0 : (C)NOT_A_NUMBER;
        }
        return is_empty ? (C)INF : (C)NOT_A_NUMBER;
    }

    template <bool WITH_GRADIENT>
    const char* rows() const {
        const int64_t length = layout.length;
        const auto counts = [&](const One& row) {
            const int64_t id = ids[row.start[ROW]];
            return id != ignored && is_class(id);
        };
        return this->run(WITH_GRADIENT, counts, [&](const Solver<POWER, C>& solver, const One& row, int at) {
            const Start& start = row.start;
            const int64_t id = ids[start[ROW]];
            C& cost = costs[start[ROW]];
            if (!counts(row)) {
                const C nothing = cost = id == ignored ? 0 : (C)NOT_A_NUMBER;
                if (WITH_GRADIENT)
                    write_over(row.to, length, row.past, [&](int64_t, int64_t) INLINED { return all(nothing); });
                return;
            }
            const C* const scores = row.from[0];
            const C target = scores[id];
            const Solution<C>& found = solver.found[at];
            if (!found.is_sound) {
                cost = spoilt(start, id, WITH_GRADIENT ? row.to : nullptr);
                return;
            }
            const Cost known = cost_of(solver, at, target);
            const C of_class = weight ? weight[id] : 1;
            cost = of_class == 0 ? 0 : of_class * (C)known.value;
            if (!WITH_GRADIENT) return;
            const C factor = this->tempered(start, of_class * of_cost);
            // a score of -inf has no gradient
            const C of_target = target == -(C)INF ? 0 : (C)(0 - known.others) * factor;
            write_over(row.to, length, row.past, [&](int64_t at, int64_t count) INLINED {
                Vec<C> value = solver.probabilities(load_some(scores + at, count, -(C)INF), found) * factor;
                // at once, since a line that was written past the cache is slow to change
                if (const int64_t lane = id - at; lane >= 0 && lane < count) value[lane] = of_target;
                return value;
            });
        });
    }

    // Rows to one loss; `room` holds their costs.
    template <bool WITH_GRADIENT>
    const char* reduce(Reduction reduction, int64_t count, C* room, C* loss) {
        C divisor = 1;
        if (reduction == MEAN) {
            for (int64_t row = 0; row < count; ++row) {
                const bool counts = ids[row] != ignored;
                room[row] = counts ? weight ? weight[is_class(ids[row]) ? ids[row] : 0] : 1 : 0;
            }
            divisor = sum_of(room, count);
            of_cost = divisor == 0 ? 0 : 1 / divisor;
        }
        costs = room;
        if (const char* problem = rows<WITH_GRADIENT>()) return problem;
        *loss = divisor == 0 ? 0 : sum_of(costs, count) / divisor;
        return nullptr;
    }
};

// (input, target, weight, mask, temperature, axis, ignore_index, alpha, flags): the target is contiguous and has the
// input's shape without the class axis. The loss, and its gradient if wanted; both in the dtype of the computation.
template <bool WITH_GRADIENT>
const char* loss(Call& call) {
    const Tensor input = call.tensor(0), target = call.tensor(1), weight = call.tensor(2), mask = call.tensor(3),
                 temperature = call.tensor(4);
    const int64_t axis = call.integer(5), ignored = call.integer(6), flags = call.integer(8);
    const double alpha = call.number(7);
    const auto reduction = (Reduction)(flags & REDUCTION);
    const int32_t wide = input.dtype == aoti_torch_dtype_float64() ? input.dtype : aoti_torch_dtype_float32();
    const Tensor result =
        reduction == NONE ? call.result_reduced(target, 0, wide) : call.result(0, nullptr, nullptr, wide);
    const Tensor gradient = WITH_GRADIENT ? call.result_like(input, wide) : input;
    if (!result.handle || !gradient.handle) return NO_MEMORY;
    int64_t strides[MOST_DIMS];
    const Tensor operands[] = {input, gradient, mask, temperature, along_rows(target, input, axis, strides)};
    return as_computed(input, [&](auto tag) {
        using C = typename decltype(tag)::type;
        return with_power(alpha, [&](auto power) {
            Losses<decltype(power)::value, C> losses(
                operands, axis, flags & HAS_WEIGHT ? weight.at<C>() : nullptr, ignored, alpha, flags);
            if (reduction == NONE) {
                losses.costs = result.at<C>();
                return losses.template rows<WITH_GRADIENT>();
            }
            const int64_t count = target.numel();
            const Scratch scratch(count * sizeof(C));
            if (!scratch.as<C>()) return NO_MEMORY;
            return losses.template reduce<WITH_GRADIENT>(reduction, count, scratch.as<C>(), result.at<C>());
        });
    });
}

}  // namespace

#define PASTE(a, b) a##b
#define NAMED(a, b) PASTE(a, b)

extern "C" __attribute__((visibility("hidden"))) int32_t NAMED(anymax_entmax_, ISA)(LibraryHandle library) {
    int32_t failed = 0;
    failed |= torch_library_impl(library, "anymax::entmax", boxed<entmax>, TORCH_VERSION);
    failed |= torch_library_impl(library, "anymax::entmax_backward", boxed<backward>, TORCH_VERSION);
    failed |= torch_library_impl(library, "anymax::entmax_loss", boxed<loss<false>>, TORCH_VERSION);
    failed |= torch_library_impl(library, "anymax::entmax_loss_with_gradient", boxed<loss<true>>, TORCH_VERSION);
    return failed;
}
