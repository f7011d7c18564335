// gumbel_softmax, gumbel_topk and sample, with the random words made where they are used. Formulas: api.py. The definition:
// reference.py.
//
// The word of an element follows from its index in the order of the logical axes, so rows are taken in that order however
// they lie in memory. Where what competes is last, a row's words follow one another; where another axis is last, those
// of neighbouring rows do, and a block of rows is worked side by side; else each word is looked up.
//
// With Gumbel noise -log E, E an exponential variate, the softmax at temperature 1 is e^(x - top) / E over its sum, and
// the largest of these quotients is the largest x + noise: no logarithm of E is taken. The order of every sum follows
// from the length of the row alone.

#include "../../_core/native/philox.h"
#include "../../_core/native/rows.h"

namespace {

enum { INDEX, INPUT, MASK, TEMPERATURE, RESULT, GRAD, HARD_SAMPLE, OPERANDS };
enum Flag { HAS_MASK = 1, HAS_TEMPERATURE = 2, HARD = 4, WIDE = 8 };

// e^(x - top) is taken times 2^42, so that a quotient by an E as small as 1e-10 is only 0 where the sample is.
constexpr int SCALE = 42;

// ---- noise ----

// a vector of words as signed numbers
INLINE Bits<float> signed_words(const uint32_t* words, float) {
    Bits<float> found;
    memcpy(&found, words, BYTES);
    return found;
}
INLINE Bits<double> signed_words(const uint32_t* words, double) {
    typedef int32_t Half __attribute__((vector_size(BYTES / 2)));
    Half found;
    memcpy(&found, words, BYTES / 2);
    return __builtin_convertvector(found, Bits<double>);
}

// Exponential variates -log2(u): that all are 1 / log 2 times as large moves no softmax and no maximum. Each half of the
// words is measured from its own end as half of t, so that both tails keep their digits: u is 1 - t / 2 in the upper
// half, and t / 2 = 2^power (1 - x / 2) in the lower one.
INLINE Vec<float> exponential(const uint32_t* words, float) {
    const Bits<float> word = signed_words(words, 0.0f), is_lower = word >> 31;
    const Vec<float> t = __builtin_convertvector(word ^ is_lower, Vec<float>) * 0x1p-31f + 0x1p-32f;
    const Bits<float> bits = (Bits<float>)t;
#if defined(__AVX512F__)
    const __mmask16 lower = _mm512_movepi32_mask((__m512i)word);
    const Vec<float> power = (Vec<float>)_mm512_maskz_getexp_ps(lower, (__m512)t);
#else
    const Vec<float> power = __builtin_convertvector(((bits >> 23) - 127) & is_lower, Vec<float>);
#endif
    const Vec<float> x = word < 0 ? 2.0f - (Vec<float>)((bits & 0x007fffff) | 0x3f800000) : t;
    // -log2(1 - x / 2) / x for 0 < x <= 1, a minimax fit (Remez) to 2.3e-8
    const Vec<float> series = polynomial(x, 0.0040607015170405501f, -0.0095567942597628504f, 0.014175263749904289f,
                                         -0.0045881956164062099f, 0.012155279568241368f, 0.021893355560589719f,
                                         0.060178527693139436f, 0.18033430221732464f, 0.72134753684038473f);
    return series * x - power;
}
INLINE Vec<double> exponential(const uint32_t* words, double) {
    const Bits<double> word = signed_words(words, 0.0);
    const Vec<double> fraction = __builtin_convertvector(word ^ (word >> 63), Vec<double>) * 0x1p-32 + 0x1p-33;
    return log(word >= 0 ? 1.0 - fraction : fraction) * -1.4426950408889634;
}

// ---- the largest of a row ----

// The largest value so far in each lane, and in which vector of the row it stood first.
template <class C>
struct Best {
    Vec<C> value = all(-(C)INF);
    Bits<C> vector{};

    INLINE void add(Vec<C> other, int64_t number) {
        const Bits<C> is_larger = other > value;
        value = is_larger ? other : value;
        vector = is_larger ? Bits<C>{} + (BitsLane<C>)number : vector;
    }
    // of equal ones the first
    int64_t index() const {
        C values[LANES<C>];
        BitsLane<C> vectors[LANES<C>];
        store(values, value);
        memcpy(vectors, &vector, BYTES);
        const C top = largest_of_lanes<C>(value);
        int64_t found = INT64_MAX;
        for (int64_t lane = 0; lane < LANES<C>; ++lane) {
            const int64_t at = values[lane] == top ? vectors[lane] * (int64_t)LANES<C> + lane : INT64_MAX;
            found = at < found ? at : found;
        }
        return found;
    }
};

template <class C>
INLINE Vec<C> one_hot(int64_t at, int64_t winner) {
    Bits<C> lane;
    for (int index = 0; index < LANES<C>; ++index) lane[index] = index;
    const int64_t wanted = winner - at;
    const bool is_here = wanted >= 0 && wanted < LANES<C>;
    return lane == Bits<C>{} + (BitsLane<C>)(is_here ? wanted : -1) ? all((C)1) : Vec<C>{};
}

// The largest values of a row and which entries they are, of equal ones the first: a heap, with the least on top.
template <class C>
struct Largest {
    C* values;
    int64_t *entries, size;

    void clear() {
        for (int64_t at = 0; at < size; ++at) {
            values[at] = -(C)INF;
            entries[at] = -1;
        }
    }
    // entries come in rising order
    void add(C value, int64_t entry) {
        if (value > values[0]) sink(value, entry, size);
    }
    // with the largest first
    void sort() {
        for (int64_t last = size - 1; last > 0; --last) {
            const C value = values[last];
            const int64_t entry = entries[last];
            values[last] = values[0];
            entries[last] = entries[0];
            sink(value, entry, last);
        }
    }

   private:
    static bool is_less(C value, int64_t entry, C other, int64_t other_entry) {
        return value < other || (value == other && entry > other_entry);
    }
    // in place of the top of the first `count`
    NOT_INLINED void sink(C value, int64_t entry, int64_t count) {
        int64_t at = 0;
        for (int64_t child = 1; child < count; child = 2 * at + 1) {
            if (child + 1 < count && is_less(values[child + 1], entries[child + 1], values[child], entries[child]))
                ++child;
            if (!is_less(values[child], entries[child], value, entry)) break;
            values[at] = values[child];
            entries[at] = entries[child];
            at = child;
        }
        values[at] = value;
        entries[at] = entry;
    }
};

template <class C>
INLINE bool any(Bits<C> is_so) {
    return largest_of_lanes<C>(is_so ? all((C)1) : Vec<C>{}) > 0;
}

// ---- rows ----

// A temperature that is not positive spoils its row.
template <class C>
C checked(C temperature) {
    return temperature > 0 ? temperature : (C)NOT_A_NUMBER;
}

// x - top over T; a score of -inf stays one, also where T is infinite
template <class C>
INLINE Vec<C> quotient(Vec<C> difference, Vec<C> temperature) {
    return difference == all(-(C)INF) ? difference : difference / temperature;
}

template <class C>
struct Draw {
    using Start = int64_t[OPERANDS];

    Layout<OPERANDS> layout;
    Operand<C, OPERANDS> input, result, grad, hard_sample;
    const Philox philox;
    const C* temperatures = nullptr;  // one per row
    C temperature = 1;
    int64_t numel;
    int64_t ahead;  // from a row to the next one, which comes nearer while a row is worked on
    bool stream, plain;

    Draw(const Tensor (&operands)[OPERANDS], int64_t axes, int64_t flags, uint64_t seed, double number)
        : layout(operands, axes),
          input(layout, INPUT, operands[INPUT]),
          result(layout, RESULT, operands[RESULT]),
          grad(layout, GRAD, operands[GRAD]),
          hard_sample(layout, HARD_SAMPLE, operands[HARD_SAMPLE]),
          philox(seed),
          temperature(checked((C)number)),
          numel(layout.rows * layout.length),
          ahead(input.is_plain() && input.rows_are_contiguous() ? layout.neighbours().strides[INPUT] : 0),
          stream(numel * (int64_t)sizeof(C) >= PAST_THE_CACHE) {
        if (flags & HAS_MASK) {
            input.mask = grad.mask = operands[MASK].at<bool>();
            input.mask_index = grad.mask_index = MASK;
            input.absent = -(C)INF;
        }
        if (flags & HAS_TEMPERATURE) {
            const Tensor& given = operands[TEMPERATURE];
            bool is_one = true;
            for (int64_t axis = 0; axis < given.ndim; ++axis)
                is_one &= given.sizes[axis] == 1 || given.strides[axis] == 0;
            temperatures = is_one ? nullptr : given.at<C>();
            if (is_one && numel > 0) temperature = checked(*given.at<C>());
        }
        plain = !temperatures && temperature == 1;
    }

    C temperature_of(const Start& start) const {
        return temperatures ? checked(temperatures[start[TEMPERATURE]]) : temperature;
    }

    // A row in which nothing takes part or a number is infinite or NaN.
    NOT_INLINED void odd_row(const Start& start) const {
        for (int64_t entry = 0; entry < layout.length; ++entry) {
            const bool takes_part = !input.mask || input.mask[start[MASK] + layout.offset_of(entry, MASK)];
            result.set(start[RESULT] + layout.offset_of(entry, RESULT), takes_part ? (C)NOT_A_NUMBER : 0);
        }
    }

    // Words of rows, entry by entry.
    class Words {
       public:
        Words(const Draw& draw, int64_t end)
            : draw_(draw), stream_(draw.philox, end), in_order_(draw.layout.row_is_contiguous(INDEX)) {}
        const uint32_t* at(int64_t row_start, int64_t entry, int64_t count) {
            if (in_order_) return stream_.at(row_start + entry, count);
            int64_t indices[WordStream::MOST];
            for (int64_t at = 0; at < count; ++at)
                indices[at] = row_start + draw_.layout.offset_of(entry + at, INDEX);
            for (int64_t at = count; at % PHILOX_LANES; ++at) indices[at] = 0;
            draw_.philox.pick(indices, count, words_);
            return words_;
        }

       private:
        const Draw& draw_;
        WordStream stream_;
        bool in_order_;
        uint32_t words_[WordStream::MOST];
    };

    // action(words, at, count, part) over the vectors of a row, whose first word is `index`; action.close() after each
    // MOST entries
    template <class Action, class Close>
    INLINE void each_vector(Words& words, int64_t index, const Action& action, const Close& close) const {
        const int64_t length = layout.length;
        for (int64_t first = 0; first < length; first += WordStream::MOST) {
            const int64_t size = length - first < WordStream::MOST ? length - first : WordStream::MOST;
            const uint32_t* const found = words.at(index, first, size);
            int64_t at = 0;
            for (; at + 4 * LANES<C> <= size; at += 4 * LANES<C>)
#pragma GCC unroll 4
                for (int part = 0; part < 4; ++part)
                    action(found + at + part * LANES<C>, first + at + part * LANES<C>, (int64_t)LANES<C>, part);
            for (int part = 0; at < size; at += LANES<C>, ++part)
                action(found + at, first + at, size - at < LANES<C> ? size - at : LANES<C>, part);
            close();
        }
    }

    // What competes: e^(x - top) / E at temperature 1, else x - top - log E. NaN where a number is NaN.
    template <bool PLAIN>
    static INLINE Vec<C> competitor(Vec<C> score, Vec<C> top, const uint32_t* words) {
        const Vec<C> difference = score - top, variate = exponential(words, (C)0);
        return PLAIN ? ratio<C>(quick_exp<SCALE>(difference), variate) : difference - log(variate);
    }

    // What rounding to C leaves of a sample that is below its normal numbers, which would cost 150 cycles, is 0.
    static INLINE Vec<C> scaled(Vec<C> weight, Vec<C> factor, Vec<C> least) {
        return (weight < least ? Vec<C>{} : weight) * factor;
    }
    static constexpr C SMALLEST = sizeof(C) == 4 ? (C)1.17549435e-38 : (C)2.2250738585072014e-308;

    template <bool PLAIN>
    bool soft_rows(int64_t first, int64_t last) const {
        // one vector more: what is written past the cache may start in the middle of one
        const int64_t length = layout.length, padded = (length / LANES<C> + 2) * LANES<C>;
        const Scratch scratch(2 * padded * sizeof(C));
        C *const room = scratch.as<C>(), *const kept = room + padded;
        if (!room) return false;
        Words words(*this, last * length);
        each_row(first, last, [&](const Start& start) {
            const C* const scores = input.row(start, room);
            const Vec<C> top = all(largest(scores, length));
            Vec<C> sums[4] = {}, totals[4] = {}, tops[4];
            for (auto& entry : tops) entry = all(-(C)INF);
            const auto close = [&]() INLINED {
                for (int part = 0; part < 4; ++part) {
                    totals[part] += sums[part];
                    sums[part] = Vec<C>{};
                }
            };
            const auto compete = [&](const uint32_t* found, int64_t at, int64_t count, int part) INLINED {
                prefetch(scores + ahead + at);
                const Vec<C> value = competitor<PLAIN>(load_some(scores + at, count, -(C)INF), top, found);
                // what is behind the row's end is never read again
                store(kept + at, value);
                if (PLAIN)
                    sums[part] += value;
                else
                    tops[part] = larger(value, tops[part]);
            };
            each_vector(words, start[INDEX], compete, close);
            C sum = sum_of_lanes<C>((totals[0] + totals[1]) + (totals[2] + totals[3]));
            if (!PLAIN) {
                const Vec<C> noisy_top =
                    all(largest_of_lanes<C>(larger(larger(tops[0], tops[1]), larger(tops[2], tops[3]))));
                const Vec<C> divisor = all(temperature_of(start));
                sum = sum_over<C>(length, [&](int64_t at, int64_t count) INLINED {
                    const Vec<C> difference = load_some(kept + at, count, -(C)INF) - noisy_top;
                    const Vec<C> e = exp(quotient<C>(difference, divisor));
                    store(kept + at, e);
                    return e;
                });
            }
            if (!(sum == sum)) return odd_row(start);
            C* const to = result.place(start, room);
            const Vec<C> factor = all(1 / sum), least = all(SMALLEST * sum);
            // of a few classes the samples sum to 1
            const bool is_short = length <= 4 * LANES<C>;
            write_over(to, length, stream && to != room, [&](int64_t at, int64_t) INLINED {
                const Vec<C> weight = load(kept + at);
                return is_short ? weight / all(sum) : scaled(weight, factor, least);
            });
            result.put_row(start, to);
        });
        if (stream) finish_stores();
        return true;
    }

    // The entry of a row whose value(words, at, count) is the largest, or -1 where one is NaN.
    template <class Value>
    INLINE int64_t winner(Words& words, int64_t index, const Value& value) const {
        Best<C> best;
        Vec<C> sum{};
        each_vector(
            words, index,
            [&](const uint32_t* found, int64_t at, int64_t count, int) INLINED {
                const Vec<C> competing = value(found, at, count);
                best.add(competing, at / LANES<C>);
                sum += competing;
            },
            []() INLINED {});
        const C total = sum_of_lanes<C>(sum);
        return total == total ? best.index() : -1;
    }

    template <bool PLAIN>
    bool hard_rows(int64_t first, int64_t last) const {
        const int64_t length = layout.length, padded = (length / LANES<C> + 2) * LANES<C>;
        const Scratch scratch(padded * sizeof(C));
        C* const room = scratch.as<C>();
        if (!room) return false;
        Words words(*this, last * length);
        each_row(first, last, [&](const Start& start) {
            const C* const scores = input.row(start, room);
            const Vec<C> top = all(largest(scores, length));
            const int64_t found =
                winner(words, start[INDEX], [&](const uint32_t* drawn, int64_t at, int64_t count) INLINED {
                    prefetch(scores + ahead + at);
                    return competitor<PLAIN>(load_some(scores + at, count, -(C)INF), top, drawn);
                });
            const C divisor = temperature_of(start);
            if (found < 0 || !(divisor == divisor)) return odd_row(start);
            C* const to = result.place(start, room);
            write_over(to, length, stream && to != room,
                       [&](int64_t at, int64_t) INLINED { return one_hot<C>(at, found); });
            result.put_row(start, to);
        });
        if (stream) finish_stores();
        return true;
    }

    // Sample k of row r is number k * rows + r, which is also where its words and its id are.
    bool sampled_rows(int64_t first, int64_t last, int64_t* ids) const {
        const int64_t length = layout.length, padded = (length / LANES<C> + 2) * LANES<C>;
        const Scratch scratch(2 * padded * sizeof(C));
        C *const room = scratch.as<C>(), *const kept = room + padded;
        if (!room) return false;
        Words words(*this, last * length);
        while (first < last) {
            const int64_t sample = first / layout.rows, before = sample * layout.rows;
            const int64_t end = last - before < layout.rows ? last - before : layout.rows;
            each_row(first - before, end, [&](const Start& start) {
                const C* const scores = input.row(start, room);
                const Vec<C> top = all(largest(scores, length));
                weigh(scores, top, all(temperature_of(start)), kept);
                const int64_t index = start[INDEX] + sample * numel;
                ids[before + start[RESULT]] =
                    winner(words, index, [&](const uint32_t* drawn, int64_t at, int64_t count) INLINED {
                        prefetch(scores + ahead + at);
                        return ratio<C>(load_some(kept + at, count, (C)0), exponential(drawn, (C)0));
                    });
            });
            first = before + end;
        }
        return true;
    }

    // What is drawn first: ids (rows, size), of which the last is that of the threshold, and the thresholds. -1 where
    // there are no more; -1 and NaN in a row from which all but the last cannot be drawn.
    struct Drawn {
        int64_t* ids;
        C* thresholds;
        int64_t size;
    };

    bool largest_rows(int64_t first, int64_t last, const Drawn& drawn) const {
        const int64_t length = layout.length, padded = (length / LANES<C> + 2) * LANES<C>;
        const Scratch scratch((padded + drawn.size) * sizeof(C));
        C* const room = scratch.as<C>();
        if (!room) return false;
        Largest<C> largest_ones{room + padded, nullptr, drawn.size};
        Words words(*this, last * length);
        each_row(first, last, [&](const Start& start) {
            const C* const scores = input.row(start, room);
            const Vec<C> top = all(largest(scores, length));
            largest_ones.entries = drawn.ids + start[RESULT] * drawn.size;
            largest_ones.clear();
            Vec<C> sum{};
            each_vector(
                words, start[INDEX],
                [&](const uint32_t* found, int64_t at, int64_t count, int) INLINED {
                    prefetch(scores + ahead + at);
                    const Vec<C> value = competitor<false>(load_some(scores + at, count, -(C)INF), top, found);
                    sum += value;
                    if (any<C>(value > all(largest_ones.values[0])))
                        for (int lane = 0; lane < LANES<C>; ++lane) largest_ones.add(value[lane], at + lane);
                },
                []() INLINED {});
            finish(drawn, start[RESULT], largest_ones, top[0], sum_of_lanes<C>(sum));
        });
        return true;
    }
    static void finish(const Drawn& drawn, int64_t row, Largest<C>& largest_ones, C top, C sum) {
        largest_ones.sort();
        const int64_t k = drawn.size - 1;
        const bool is_sound = sum == sum && largest_ones.entries[k - 1] >= 0;
        if (!is_sound) largest_ones.clear();
        // the variates are 1 / log 2 times as large
        drawn.thresholds[row] = is_sound ? largest_ones.values[k] + (C)0.36651292058166433 + top : (C)NOT_A_NUMBER;
    }

    bool largest_columns(const Tiling<C>& tiling, int64_t first, int64_t last, const Drawn& drawn) const {
        const int64_t step = layout.neighbours().strides[RESULT], size = drawn.size;
        const Scratch scratch(size * tiling.width * sizeof(C));
        C* const values = scratch.as<C>();
        if (!values) return false;
        return each_columns(tiling, first, last, [&](const Columns& columns, const Start& start) {
            const auto of_column = [&](int64_t at) {
                return Largest<C>{values + at * size, drawn.ids + (start[RESULT] + at * step) * size, size};
            };
            clear_bests(columns);
            for (int64_t at = 0; at < columns.count; ++at) of_column(at).clear();
            // the least of each column stands among the bests
            each_number(columns, start[INDEX], [&](C* number, const uint32_t* found, int64_t at, int64_t entry) INLINED {
                const Vec<C> value = competitor<false>(load(number), load(columns.tops + at), found);
                store(columns.sums + at, load(columns.sums + at) + value);
                if (!any<C>(value > load(columns.bests + at))) return;
                for (int lane = 0; lane < LANES<C> && at + lane < columns.count; ++lane) {
                    Largest<C> largest_ones = of_column(at + lane);
                    largest_ones.add(value[lane], entry);
                    columns.bests[at + lane] = largest_ones.values[0];
                }
            });
            for (int64_t at = 0; at < columns.count; ++at) {
                Largest<C> largest_ones = of_column(at);
                finish(drawn, start[RESULT] + at * step, largest_ones, columns.tops[at], columns.sums[at]);
            }
        });
    }

    // ---- the gradient of a hard sample by an estimator ----

    // Some rows together, so that few words are made in vain. Each row has its entries side by side in every field.
    struct Group {
        int64_t length, padded, count = 0;
        C *weights, *grads, *hard, *sums, *soft, *rooms;
        uint32_t* words;
        Start starts[MOST_ROWS];
        C totals[MOST_ROWS], divisors[MOST_ROWS];
        const C* scores[MOST_ROWS];

        static constexpr int64_t SPARE = WORDS_OF_BLOCK + WORDS_AT_ONCE + WordStream::MOST;
        static int64_t rows(int64_t length) { return length == 0 ? 1 : rows_of_group(length); }
        static size_t size(int64_t length) {
            const int64_t padded = (length / LANES<C> + 2) * LANES<C>;
            return (5 * rows(length) + 1) * padded * sizeof(C) + (rows(length) * length + SPARE) * sizeof(uint32_t);
        }
        Group(C* room, int64_t length) : length(length), padded((length / LANES<C> + 2) * LANES<C>) {
            const int64_t all_rows = rows(length) * padded;
            weights = room;
            grads = weights + all_rows;
            hard = grads + all_rows;
            sums = hard + all_rows;
            rooms = sums + all_rows;
            soft = rooms + all_rows;
            words = (uint32_t*)(soft + padded);
        }
    };

    // `samples` is 0 for ReinMax, else that of Gumbel-Rao
    template <bool PLAIN>
    bool estimated_rows(int64_t first, int64_t last, int64_t samples) const {
        const Scratch scratch(Group::size(layout.length));
        if (!scratch.as<C>()) return false;
        Group group(scratch.as<C>(), layout.length);
        for (int64_t at = first, most = Group::rows(layout.length); at < last; at += most) {
            group.count = 0;
            each_row(at, last - at < most ? last : at + most, [&](const Start& start) { take(group, start); });
            for (int64_t sample = 1; sample <= samples; ++sample) {
                const uint32_t* const words = words_of(group, sample);
                for (int64_t row = 0; row < group.count; ++row) add_sample<PLAIN>(group, row, words + row * group.length);
            }
            for (int64_t row = 0; row < group.count; ++row) {
                if (samples == 0) reinmax<PLAIN>(group, row);
                put(group, row, samples == 0 ? (C)1 : 1 / (group.divisors[row] * (C)samples));
            }
        }
        return true;
    }

    // the row's e^(x - top), their sum, and what the estimators are made of
    void take(Group& group, const Start& start) const {
        const int64_t row = group.count++, length = group.length, from = row * group.padded;
        memcpy(group.starts[row], start, sizeof(Start));
        const C* const scores = input.row(start, group.rooms + from);
        group.scores[row] = scores;
        const Vec<C> top = all(largest(scores, length));
        C* const weights = group.weights + from;
        group.totals[row] = sum_over<C>(length, [&](int64_t at, int64_t count) INLINED {
            const Vec<C> weight = exp(load_some(scores + at, count, -(C)INF) - top);
            store(weights + at, weight);
            return weight;
        });
        group.divisors[row] = temperature_of(start);
        copy(grad.row(start, group.grads + from), group.grads + from, length);
        copy(hard_sample.row(start, group.hard + from), group.hard + from, length);
        write_over(group.sums + from, length, false, [&](int64_t, int64_t) INLINED { return Vec<C>{}; });
    }
    static void copy(const C* from, C* to, int64_t length) {
        if (from != to) memcpy(to, from, length * sizeof(C));
    }

    // the words of the group's rows for a sample, one row after the other
    const uint32_t* words_of(const Group& group, int64_t sample) const {
        const int64_t before = sample * numel, length = group.length;
        if (layout.row_is_contiguous(INDEX)) {
            const int64_t from = before + group.starts[0][INDEX], skipped = from % WORDS_OF_BLOCK;
            philox.run((uint64_t)(from - skipped), group.count * length + skipped, group.words);
            return group.words + skipped;
        }
        int64_t indices[WordStream::MOST];
        for (int64_t row = 0; row < group.count; ++row)
            for (int64_t entry = 0; entry < length; entry += WordStream::MOST) {
                const int64_t rest = length - entry, count = rest < WordStream::MOST ? rest : WordStream::MOST;
                for (int64_t at = 0; at < count; ++at)
                    indices[at] = before + group.starts[row][INDEX] + layout.offset_of(entry + at, INDEX);
                for (int64_t at = count; at % PHILOX_LANES; ++at) indices[at] = 0;
                philox.pick(indices, count, group.words + row * length + entry);
            }
        return group.words;
    }

    // y * (g - <y, g>) of a soft sample y whose noise is drawn given the hard one. With E of the winner and p of the
    // others, which E_j / p_j + E has taken the place of E_j / p_j in, y_j is (p_j E / (E_j + p_j E))^(1/T) of the winner's.
    template <bool PLAIN>
    void add_sample(const Group& group, int64_t row, const uint32_t* words) const {
        const int64_t length = group.length, from = row * group.padded;
        const C *const weights = group.weights + from, *const grads = group.grads + from, *const hard = group.hard + from;
        const C *const scores = group.scores[row], total = group.totals[row];
        const int64_t winner = place_of_one(hard, length);
        if (winner < 0) return;
        const Vec<C> share = all(1 / total), divisor = all(group.divisors[row]);
        const Vec<C> inverse = all(1 / exponential(words + winner, (C)0)[0]);
        const Vec<C> log_z = all(scores[winner] - log_of(weights[winner] / total));
        const C sum = sum_over<C>(length, [&](int64_t at, int64_t count) INLINED {
            const Vec<C> p = load_some(weights + at, count, (C)0) * share;
            const Vec<C> variate = exponential(words + at, (C)0) * inverse + p;
            Vec<C> y;
            if (PLAIN) {
                y = ratio<C>(p, variate);
            } else {
                const Vec<C> log_p = load_some(scores + at, count, -(C)INF) - log_z;
                y = exp(quotient<C>(log_p - log(variate), divisor));
            }
            y = load_some(hard + at, count, (C)0) > 0 ? all((C)1) : y;
            store(group.soft + at, y);
            return y;
        });
        const C product = sum_over<C>(length, [&](int64_t at, int64_t count) INLINED {
            return load(group.soft + at) * load_some(grads + at, count, (C)0);
        });
        const Vec<C> factor = all(1 / sum), mean = all(product / sum);
        C* const sums = group.sums + from;
        write_over(sums, length, false, [&](int64_t at, int64_t count) INLINED {
            const Vec<C> slope = load_some(grads + at, count, (C)0) - mean;
            return load_some(sums + at, count, (C)0) + load(group.soft + at) * factor * slope;
        });
    }
    static int64_t place_of_one(const C* hard, int64_t length) {
        for (int64_t at = 0; at < length; at += LANES<C>) {
            const int64_t count = length - at < LANES<C> ? length - at : LANES<C>;
            const Vec<C> some = load_some(hard + at, count, (C)0);
            if (any<C>(some > 0))
                for (int64_t lane = 0; lane < count; ++lane)
                    if (some[lane] > 0) return at + lane;
        }
        return -1;
    }

    // with s the sum of the hard sample and softmax(x / T), and p of softmax(x): s (g - <s, g> / 2) - p (g - <p, g>) / 2
    template <bool PLAIN>
    void reinmax(const Group& group, int64_t row) const {
        const int64_t length = group.length, from = row * group.padded;
        const C *const weights = group.weights + from, *const grads = group.grads + from, *const hard = group.hard + from;
        const C* const scores = group.scores[row];
        const Vec<C> share = all(1 / group.totals[row]), divisor = all(group.divisors[row]);
        const Vec<C> top = all(PLAIN ? (C)0 : largest(scores, length));
        Vec<C> share_of_tempered = share;
        if (!PLAIN)
            share_of_tempered = all(1 / sum_over<C>(length, [&](int64_t at, int64_t count) INLINED {
                const Vec<C> difference = load_some(scores + at, count, -(C)INF) - top;
                const Vec<C> weight = exp(quotient<C>(difference, divisor));
                store(group.soft + at, weight);
                return weight;
            }));
        const auto probability = [&](int64_t at, int64_t count) INLINED {
            return load_some(weights + at, count, (C)0) * share;
        };
        const C product = sum_over<C>(length, [&](int64_t at, int64_t count) INLINED {
            return probability(at, count) * load_some(grads + at, count, (C)0);
        });
        const C product_of_sum = sum_over<C>(length, [&](int64_t at, int64_t count) INLINED {
            const Vec<C> tempered =
                PLAIN ? probability(at, count) : load(group.soft + at) * share_of_tempered;
            const Vec<C> sum = load_some(hard + at, count, (C)0) + tempered;
            store(group.soft + at, sum);
            return sum * load_some(grads + at, count, (C)0);
        });
        const Vec<C> mean = all(product), half_mean = all(product_of_sum / 2);
        write_over(group.sums + from, length, false, [&](int64_t at, int64_t count) INLINED {
            const Vec<C> slope = load_some(grads + at, count, (C)0);
            return load(group.soft + at) * (slope - half_mean) - probability(at, count) * (slope - mean) / 2;
        });
    }

    void put(Group& group, int64_t row, C factor) const {
        const int64_t from = row * group.padded, length = group.length;
        const Start& start = group.starts[row];
        const C divisor = group.divisors[row];
        if (!(group.totals[row] == group.totals[row]) || !(divisor == divisor)) return odd_row(start);
        C* const to = result.place(start, group.soft);
        write_over(to, length, false, [&](int64_t at, int64_t count) INLINED {
            return load_some(group.sums + from + at, count, (C)0) * factor;
        });
        result.put_row(start, to);
    }

    // e^((x - top) / T)
    static INLINE Vec<C> weight(Vec<C> score, Vec<C> top, Vec<C> divisor) {
        return quick_exp<SCALE>(quotient<C>(score - top, divisor));
    }
    void weigh(const C* scores, Vec<C> top, Vec<C> divisor, C* to) const {
        write_over(to, layout.length, false, [&](int64_t at, int64_t count) INLINED {
            const Vec<C> score = load_some(scores + at, count, -(C)INF);
            return plain ? quick_exp<SCALE>(score - top) : weight(score, top, divisor);
        });
    }

    // ---- rows side by side, which have their words side by side ----

    // Whole rows, however few go into a tile then: few words at a time would cost as much as many.
    Tiling<C> tiling() const {
        Tiling<C> found(layout);
        if (found.height < layout.length) {
            const int64_t size = layout.neighbours().size;
            found.height = layout.length;
            found.width = size < WORDS_AT_ONCE ? (size + LANES<C> - 1) / LANES<C> * LANES<C> : WORDS_AT_ONCE;
            found.blocks = (size + found.width - 1) / found.width;
        }
        return found;
    }

    // Scratch for a block of columns: its tile and numbers of each column.
    struct Columns {
        int64_t count, width;
        C *tile, *end, *tops, *divisors, *sums, *bests;
        Bits<C>* winners;

        // bytes for `width` columns of `length` entries
        static size_t size(int64_t length, int64_t width) { return (length + 5) * width * sizeof(C); }
        Columns(C* room, int64_t length, int64_t width)
            : width(width),
              tile(room),
              end(tile + length * width),
              tops(end),
              divisors(tops + width),
              sums(divisors + width),
              bests(sums + width),
              winners((Bits<C>*)(bests + width)) {}
        int64_t winner(int64_t column) const { return winners[column / LANES<C>][column % LANES<C>]; }
    };

    // action(columns, start) for a block of columns whose scores, tops and temperatures are there
    template <class Action>
    bool each_columns(const Tiling<C>& tiling, int64_t first, int64_t last, const Action& action) const {
        const int64_t length = layout.length, width = tiling.width;
        const Scratch scratch(Columns::size(length, width));
        if (!scratch.as<C>()) return false;
        Columns columns(scratch.as<C>(), length, width);
        each_block(layout, tiling, first, last, [&](const Start& start, int64_t count) {
            columns.count = count;
            input.copy_tile(start, {0, length, count, width}, columns.tile);
            for (int64_t at = 0; at < count; ++at) {
                Start offsets;
                layout.neighbour_of(start, at, offsets);
                columns.divisors[at] = temperature_of(offsets);
            }
            find_tops(columns);
            action(columns, start);
        });
        return true;
    }
    static void find_tops(const Columns& columns) {
        for (int64_t at = 0; at < columns.count; at += LANES<C>) {
            Vec<C> top = all(-(C)INF);
            for (const C* entry = columns.tile; entry < columns.end; entry += columns.width)
                top = larger(load(entry + at), top);
            store(columns.tops + at, top);
        }
    }
    // The sums of chunks of entries are added up.
    static void find_sums(const Columns& columns) {
        for (int64_t at = 0; at < columns.count; at += LANES<C>) store(columns.sums + at, Vec<C>{});
        for (const C* chunk = columns.tile; chunk < columns.end; chunk += CHUNK / 4 * columns.width) {
            const int64_t rest = columns.end - chunk, size = CHUNK / 4 * columns.width;
            const C* const last = chunk + (rest < size ? rest : size);
            for (int64_t at = 0; at < columns.count; at += LANES<C>) {
                Vec<C> sum{};
                for (const C* entry = chunk; entry < last; entry += columns.width) sum += load(entry + at);
                store(columns.sums + at, load(columns.sums + at) + sum);
            }
        }
    }

    // action(value, words, at) makes another of each number of the tile, whose words begin at `index`
    template <class Action>
    INLINE void each_number(const Columns& columns, int64_t index, const Action& action) const {
        uint32_t words[WIDEST + WORDS_AT_ONCE + WORDS_OF_BLOCK];
        for (int64_t entry = 0; entry < layout.length; ++entry) {
            const int64_t from = index + layout.offset_of(entry, INDEX), skipped = from % WORDS_OF_BLOCK;
            philox.run((uint64_t)(from - skipped), columns.count + skipped, words);
            C* const line = columns.tile + entry * columns.width;
            for (int64_t at = 0; at < columns.count; at += LANES<C>)
                action(line + at, words + skipped + at, at, entry);
        }
    }
    static INLINE void clear_bests(const Columns& columns) {
        for (int64_t at = 0; at < columns.count; at += LANES<C>) {
            store(columns.bests + at, all(-(C)INF));
            store(columns.sums + at, Vec<C>{});
            columns.winners[at / LANES<C>] = Bits<C>{};
        }
    }
    static INLINE void add_to_bests(const Columns& columns, Vec<C> value, int64_t at, int64_t entry) {
        Bits<C>& winner = columns.winners[at / LANES<C>];
        const Vec<C> best = load(columns.bests + at);
        const Bits<C> is_larger = value > best;
        store(columns.bests + at, is_larger ? value : best);
        winner = is_larger ? Bits<C>{} + (BitsLane<C>)entry : winner;
        store(columns.sums + at, load(columns.sums + at) + value);
    }

    template <bool PLAIN>
    bool soft_columns(const Tiling<C>& tiling, int64_t first, int64_t last) const {
        return each_columns(tiling, first, last, [&](const Columns& columns, const Start& start) {
            each_number(columns, start[INDEX], [&](C* number, const uint32_t* drawn, int64_t at, int64_t) INLINED {
                store(number, competitor<PLAIN>(load(number), load(columns.tops + at), drawn));
            });
            if (!PLAIN) {
                find_tops(columns);
                each_vector_of(columns, [&](C* number, int64_t at) INLINED {
                    const Vec<C> difference = load(number) - load(columns.tops + at);
                    store(number, exp(quotient<C>(difference, load(columns.divisors + at))));
                });
            }
            find_sums(columns);
            each_vector_of(columns, [&](C* number, int64_t at) INLINED {
                const Vec<C> sum = load(columns.sums + at);
                store(number, scaled(load(number), 1 / sum, SMALLEST * sum));
            });
            put(columns, start, [&](int64_t at) { return columns.sums[at] == columns.sums[at]; });
        });
    }

    template <bool PLAIN>
    bool hard_columns(const Tiling<C>& tiling, int64_t first, int64_t last) const {
        return each_columns(tiling, first, last, [&](const Columns& columns, const Start& start) {
            clear_bests(columns);
            each_number(columns, start[INDEX], [&](C* number, const uint32_t* drawn, int64_t at, int64_t entry) INLINED {
                add_to_bests(columns, competitor<PLAIN>(load(number), load(columns.tops + at), drawn), at, entry);
            });
            memset(columns.tile, 0, (columns.end - columns.tile) * sizeof(C));
            for (int64_t at = 0; at < columns.count; ++at)
                columns.tile[columns.winner(at) * columns.width + at] = 1;
            put(columns, start, [&](int64_t at) {
                return columns.sums[at] == columns.sums[at] && columns.divisors[at] == columns.divisors[at];
            });
        });
    }

    bool sampled_columns(const Tiling<C>& tiling, int64_t first, int64_t last, int64_t samples, int64_t* ids) const {
        const int64_t step = layout.neighbours().strides[RESULT];
        return each_columns(tiling, first, last, [&](const Columns& columns, const Start& start) {
            each_vector_of(columns, [&](C* number, int64_t at) INLINED {
                store(number, weight(load(number), load(columns.tops + at), load(columns.divisors + at)));
            });
            for (int64_t sample = 0; sample < samples; ++sample) {
                clear_bests(columns);
                each_number(columns, start[INDEX] + sample * numel,
                            [&](C* number, const uint32_t* drawn, int64_t at, int64_t entry) INLINED {
                                add_to_bests(columns, ratio<C>(load(number), exponential(drawn, (C)0)), at, entry);
                            });
                int64_t* const to = ids + sample * layout.rows + start[RESULT];
                for (int64_t at = 0; at < columns.count; ++at)
                    to[at * step] = columns.sums[at] == columns.sums[at] ? columns.winner(at) : -1;
            }
        });
    }

    template <class Action>
    static INLINE void each_vector_of(const Columns& columns, const Action& action) {
        for (C* entry = columns.tile; entry < columns.end; entry += columns.width)
            for (int64_t at = 0; at < columns.count; at += LANES<C>) action(entry + at, at);
    }
    template <class Sound>
    void put(const Columns& columns, const Start& start, const Sound& is_sound) const {
        result.put_tile(start, {0, layout.length, columns.count, columns.width}, columns.tile);
        for (int64_t at = 0; at < columns.count; ++at) {
            if (is_sound(at)) continue;
            Start offsets;
            layout.neighbour_of(start, at, offsets);
            odd_row(offsets);
        }
    }

    // action(start) for the rows first .. last
    template <class Action>
    INLINE void each_row(int64_t first, int64_t last, const Action& action) const {
        const auto& neighbours = layout.neighbours();
        Start start;
        int64_t index = first % neighbours.size - 1;
        for (int64_t unit = first; unit < last; ++unit) {
            // most rows follow the one before
            if (unit > first && ++index < neighbours.size) {
                for (int operand = 0; operand < OPERANDS; ++operand) start[operand] += neighbours.strides[operand];
            } else {
                layout.start_of(unit, start);
                index = unit == first ? index + 1 : 0;
            }
            action(start);
        }
    }

    // whether rows are worked side by side: then their words are so many as to be worth it
    bool in_columns() const {
        return !layout.row_is_contiguous(INDEX) && layout.rows_are_columns(INDEX) && layout.neighbours().size >= 32;
    }

    template <bool PLAIN>
    const char* run(bool hard) const {
        if (numel == 0) return nullptr;
        if (!in_columns())
            return in_parallel(layout.rows, GRAIN / 8 / (layout.length + 1), [&](int64_t first, int64_t last) {
                return hard ? hard_rows<PLAIN>(first, last) : soft_rows<PLAIN>(first, last);
            });
        const Tiling<C> tiles = tiling();
        return in_parallel(blocks(tiles), GRAIN / 8 / (layout.length * tiles.width), [&](int64_t first, int64_t last) {
            return hard ? hard_columns<PLAIN>(tiles, first, last) : soft_columns<PLAIN>(tiles, first, last);
        });
    }

    const char* run_samples(int64_t samples, int64_t* ids) const {
        if (numel == 0) return nullptr;
        if (!in_columns())
            return in_parallel(samples * layout.rows, GRAIN / 8 / (layout.length + 1),
                               [&](int64_t first, int64_t last) { return sampled_rows(first, last, ids); });
        const Tiling<C> tiles = tiling();
        return in_parallel(blocks(tiles), GRAIN / 8 / (layout.length * tiles.width), [&](int64_t first, int64_t last) {
            return sampled_columns(tiles, first, last, samples, ids);
        });
    }
    const char* run_largest(const Drawn& drawn) const {
        if (layout.rows == 0) return nullptr;
        if (!in_columns())
            return in_parallel(layout.rows, GRAIN / 8 / (layout.length + 1),
                               [&](int64_t first, int64_t last) { return largest_rows(first, last, drawn); });
        const Tiling<C> tiles = tiling();
        return in_parallel(blocks(tiles), GRAIN / 8 / (layout.length * tiles.width), [&](int64_t first, int64_t last) {
            return largest_columns(tiles, first, last, drawn);
        });
    }

    const char* run_estimate(int64_t samples) const {
        if (numel == 0) return nullptr;
        return in_parallel(
            layout.rows, GRAIN / 8 / (layout.length * (samples + 1)), [&](int64_t first, int64_t last) {
                return plain ? estimated_rows<true>(first, last, samples) : estimated_rows<false>(first, last, samples);
            });
    }
    int64_t blocks(const Tiling<C>& tiles) const { return layout.rows / layout.neighbours().size * tiles.blocks; }
};

// ---- what torch calls ----

// where an element is in the order of the logical axes, as an operand
Tensor indices_of(const Tensor& tensor, int64_t (&strides)[MOST_DIMS]) {
    int64_t step = 1;
    for (int64_t axis = tensor.ndim; axis-- > 0; step *= tensor.sizes[axis]) strides[axis] = step;
    Tensor indices = tensor;
    indices.strides = strides;
    return indices;
}

// (input, mask, tau, seed, number, axes, flags): mask and tau have the input's shape, and tau is in the dtype of the
// computation; what is absent is the input
const char* gumbel_softmax(Call& call) {
    const Tensor input = call.tensor(0), mask = call.tensor(1), tau = call.tensor(2), seed = call.tensor(3);
    const double number = call.number(4);
    const int64_t axes = call.integer(5), flags = call.integer(6);
    const int32_t wide = input.dtype == aoti_torch_dtype_float64() ? input.dtype : aoti_torch_dtype_float32();
    const Tensor result = call.result_like(input, flags & WIDE ? wide : input.dtype);
    if (!result.handle) return NO_MEMORY;
    int64_t strides[MOST_DIMS];
    const Tensor operands[] = {indices_of(input, strides), input, mask, tau, result, input, input};
    return as_computed(input, [&](auto tag) {
        const Draw<typename decltype(tag)::type> draw(operands, axes, flags, *seed.at<uint64_t>(), number);
        return draw.plain ? draw.template run<true>(flags & HARD) : draw.template run<false>(flags & HARD);
    });
}

// the number of a row, as an operand, and how many there are
Tensor rows_of(const Tensor& tensor, int64_t axes, int64_t (&strides)[MOST_DIMS], int64_t& rows) {
    rows = 1;
    for (int64_t at = tensor.ndim; at-- > 0;) {
        const bool competes = axes >> at & 1;
        strides[at] = competes ? 0 : rows;
        if (!competes) rows *= tensor.sizes[at];
    }
    Tensor numbers = tensor;
    numbers.strides = strides;
    return numbers;
}

// (grad, hard sample, input, mask, tau, seed, number, axes, samples, flags): as above; `samples` is 0 for ReinMax.
const char* estimate(Call& call) {
    const Tensor grad = call.tensor(0), hard = call.tensor(1), input = call.tensor(2), mask = call.tensor(3);
    const Tensor tau = call.tensor(4), seed = call.tensor(5);
    const double number = call.number(6);
    const int64_t axes = call.integer(7), samples = call.integer(8), flags = call.integer(9);
    const Tensor result = call.result_like(input, input.dtype);
    if (!result.handle) return NO_MEMORY;
    int64_t strides[MOST_DIMS];
    const Tensor operands[] = {indices_of(input, strides), input, mask, tau, result, grad, hard};
    return as_computed(input, [&](auto tag) {
        const Draw<typename decltype(tag)::type> draw(operands, axes, flags, *seed.at<uint64_t>(), number);
        return draw.run_estimate(samples);
    });
}

// (input, mask, seed, axes, k, flags): as above. The ids as (rows, k + 1), and the thresholds.
const char* topk(Call& call) {
    const Tensor input = call.tensor(0), mask = call.tensor(1), seed = call.tensor(2);
    const int64_t axes = call.integer(3), size = call.integer(4) + 1, flags = call.integer(5);
    int64_t rows, strides[MOST_DIMS], row_strides[MOST_DIMS];
    const Tensor place = rows_of(input, axes, row_strides, rows);
    const int64_t sizes[] = {rows, size}, steps[] = {size, 1};
    const int32_t wide = input.dtype == aoti_torch_dtype_float64() ? input.dtype : aoti_torch_dtype_float32();
    const Tensor ids = call.result(2, sizes, steps, aoti_torch_dtype_int64());
    const Tensor thresholds = call.result(1, sizes, steps + 1, wide);
    if (!ids.handle || !thresholds.handle) return NO_MEMORY;
    const Tensor operands[] = {indices_of(input, strides), input, mask, input, place, input, input};
    return as_computed(input, [&](auto tag) {
        using C = typename decltype(tag)::type;
        const Draw<C> draw(operands, axes, flags, *seed.at<uint64_t>(), 1.0);
        return draw.run_largest({ids.at<int64_t>(), thresholds.at<C>(), size});
    });
}

// (input, mask, temperature, seed, number, axes, samples, flags): as above. The ids as (samples, rows).
const char* sample(Call& call) {
    const Tensor input = call.tensor(0), mask = call.tensor(1), temperature = call.tensor(2), seed = call.tensor(3);
    const double number = call.number(4);
    const int64_t axes = call.integer(5), samples = call.integer(6), flags = call.integer(7);
    int64_t rows, strides[MOST_DIMS], row_strides[MOST_DIMS];
    const Tensor place = rows_of(input, axes, row_strides, rows);
    const int64_t sizes[] = {samples, rows}, steps[] = {rows, 1};
    const Tensor ids = call.result(2, sizes, steps, aoti_torch_dtype_int64());
    if (!ids.handle) return NO_MEMORY;
    const Tensor operands[] = {indices_of(input, strides), input, mask, temperature, place, input, input};
    return as_computed(input, [&](auto tag) {
        const Draw<typename decltype(tag)::type> draw(operands, axes, flags, *seed.at<uint64_t>(), number);
        return draw.run_samples(samples, ids.at<int64_t>());
    });
}

}  // namespace

#define PASTE(a, b) a##b
#define NAMED(a, b) PASTE(a, b)

extern "C" __attribute__((visibility("hidden"))) int32_t NAMED(anymax_gumbel_, ISA)(LibraryHandle library) {
    int32_t failed = torch_library_impl(library, "anymax::gumbel_softmax", boxed<gumbel_softmax>, TORCH_VERSION);
    failed |= torch_library_impl(library, "anymax::gumbel_estimate", boxed<estimate>, TORCH_VERSION);
    failed |= torch_library_impl(library, "anymax::gumbel_topk", boxed<topk>, TORCH_VERSION);
    failed |= torch_library_impl(library, "anymax::gumbel_sample", boxed<sample>, TORCH_VERSION);
    return failed;
}
