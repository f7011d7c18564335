// Draws of the noise laws: random words, a class per pair of them, and its log-probability. What they are: laws.py and
// draws.py.

#include "../_core/native/call.h"
#include "../_core/native/philox.h"

namespace {

// on a grid of 2^-53, as draws.uniform
INLINE double uniform(const uint32_t* pair) {
    return (double)(int64_t)((uint64_t)pair[0] << 21 | pair[1] >> 11) * 0x1p-53;
}

// ---- elementary functions ----

// log(1 + x) for -1 < x: the rounding of 1 + x is made good to first order
INLINE Vec<double> log1p(Vec<double> x) {
    const Vec<double> moved = 1.0 + x;
    return log(moved) - ((moved - 1.0) - x) / moved;
}

// ---- the laws ----

// laws.py has the same numbers
enum Kind { UNIFORM, LOG_UNIFORM, UNIGRAM };

// draws at a time: what is far away in memory is asked for in one sweep and read in the next
constexpr int BLOCK = 128;

struct Law {
    Kind kind;
    int64_t num_classes;
    double log_classes;  // log(1 + C), of LogUniform
    double constant;     // its logarithm; of Uniform, log C
    // of Unigram
    const double *cumulative, *log_probs;
    const uint32_t* guide;
    int64_t last;
    double total, scale;

    // (cumulative, log_probs, guide, last, kind, num_classes, log_classes, constant) from the argument `at` on
    Law(Call& call, int at) {
        const Tensor sums = call.tensor(at), logs = call.tensor(at + 1), starts = call.tensor(at + 2);
        const Tensor end = call.tensor(at + 3);
        kind = (Kind)call.integer(at + 4);
        num_classes = call.integer(at + 5);
        log_classes = call.number(at + 6);
        constant = call.number(at + 7);
        if (kind != UNIGRAM) return;
        cumulative = sums.at<double>();
        log_probs = logs.at<double>();
        guide = starts.at<uint32_t>();
        last = *end.at<int64_t>();
        total = cumulative[num_classes - 1];
        scale = scale_of(num_classes, total);
    }
    static double scale_of(int64_t num_classes, double total) { return (double)num_classes / total; }

    // The classes of BLOCK pairs of words, `stride` words apart, and their log-probabilities.
    INLINE void draw(const uint32_t* words, int stride, int64_t* ids, double* log_q) const {
        if (kind == UNIFORM) {
            for (int at = 0; at < BLOCK; ++at) {
                // the high half of a 64-bit word times C
                const uint64_t high = words[at * stride] * (uint64_t)num_classes;
                const uint64_t low = words[at * stride + 1] * (uint64_t)num_classes;
                ids[at] = (int64_t)((high + (low >> 32)) >> 32);
                log_q[at] = -constant;
            }
            return;
        }
        double points[BLOCK];
        for (int at = 0; at < BLOCK; ++at) points[at] = uniform(words + at * stride);
        if (kind == LOG_UNIFORM)
            log_uniform(points, ids, log_q);
        else
            unigram(points, ids, log_q);
    }

   private:
    void log_uniform(const double* points, int64_t* ids, double* log_q) const {
        const Bits<double> first = Bits<double>{} + 1, end = Bits<double>{} + num_classes;
        for (int at = 0; at < BLOCK; at += LANES<double>) {
            const Vec<double> rank = exp(load(points + at) * log_classes);
            // rounding may reach 1 below the first and 1 above the last
            Bits<double> whole = __builtin_convertvector(rank, Bits<double>);
            whole = whole < first ? first : whole > end ? end : whole;
            const Bits<double> id = whole - 1;
            memcpy(ids + at, &id, BYTES);
            store(log_q + at, log(log1p(1.0 / __builtin_convertvector(whole, Vec<double>))) - constant);
        }
    }

    // The first class whose cumulative probability is above the point. It is among those from guide[b] to guide[b + 1]
    // for a point in the interval b, since the interval of a sum is computed as that of a point.
    void unigram(double* points, int64_t* ids, double* log_q) const {
        for (int at = 0; at < BLOCK; ++at) {
            points[at] *= total;
            ids[at] = (int64_t)(points[at] * scale);
            prefetch(guide + ids[at]);
        }
        uint32_t ends[BLOCK];
        for (int at = 0; at < BLOCK; ++at) {
            const int64_t interval = ids[at];
            ids[at] = guide[interval];
            ends[at] = guide[interval + 1];
            prefetch(cumulative + ids[at]);
            prefetch(cumulative + (ids[at] + ends[at]) / 2);
        }
        for (int at = 0; at < BLOCK; ++at) {
            int64_t first = ids[at], end = ends[at];
            while (first < end) {
                const int64_t middle = (first + end) / 2;
                if (cumulative[middle] > points[at])
                    end = middle;
                else
                    first = middle + 1;
            }
            ids[at] = first < last ? first : last;
            prefetch(log_probs + ids[at]);
        }
        for (int at = 0; at < BLOCK; ++at) log_q[at] = log_probs[ids[at]];
    }
};

// (cumulative): for each interval of the sum that the classes share evenly, the first class whose sum is not below it
const char* guide(Call& call) {
    const Tensor cumulative = call.tensor(0);
    const int64_t count = cumulative.sizes[0], size = count + 2, stride = 1;
    const Tensor result = call.result(1, &size, &stride, aoti_torch_dtype_int32());
    if (!result.handle) return NO_MEMORY;
    const double* const sums = cumulative.at<double>();
    uint32_t* const starts = result.at<uint32_t>();
    const double scale = Law::scale_of(count, sums[count - 1]);
    for (int64_t at = (int64_t)(sums[count - 1] * scale) + 1; at < size; ++at) starts[at] = (uint32_t)count;
    return in_parallel(count, 1 << 16, [&](int64_t first, int64_t last) {
        int64_t next = first ? (int64_t)(sums[first - 1] * scale) + 1 : 0;
        for (int64_t at = first; at < last; ++at)
            for (const int64_t interval = (int64_t)(sums[at] * scale); next <= interval; ++next)
                starts[next] = (uint32_t)at;
        return true;
    });
}

// (seed, law..., count, log_draws): draw i has the words 2i and 2i + 1
const char* with_replacement(Call& call) {
    const Philox philox(*call.tensor(0).at<uint64_t>());
    const Law law(call, 1);
    const int64_t count = call.integer(9), stride = 1;
    const double log_draws = call.number(10);
    const Tensor ids = call.result(1, &count, &stride, aoti_torch_dtype_int64());
    const Tensor log_count = call.result(1, &count, &stride, aoti_torch_dtype_float64());
    if (!ids.handle || !log_count.handle) return NO_MEMORY;
    return in_parallel((count + BLOCK - 1) / BLOCK, 16, [&](int64_t first, int64_t last) {
        for (int64_t block = first; block < last; ++block) {
            uint32_t words[2 * BLOCK];
            int64_t drawn[BLOCK];
            double log_q[BLOCK];
            philox.run((uint64_t)block * (2 * BLOCK), 2 * BLOCK, words);
            law.draw(words, 2, drawn, log_q);
            const int64_t start = block * BLOCK, size = count - start < BLOCK ? count - start : BLOCK;
            memcpy(ids.at<int64_t>() + start, drawn, size * 8);
            for (int64_t at = 0; at < size; ++at) log_count.at<double>()[start + at] = log_q[at] + log_draws;
        }
        return true;
    });
}

// ---- unique draws ----

// standard exponential variates of BLOCK pairs of words, `stride` words apart
void exponentials(const uint32_t* words, int stride, double* variates) {
    for (int at = 0; at < BLOCK; at += LANES<double>) {
        Vec<double> fraction;
        Bits<double> lower;
        for (int lane = 0; lane < LANES<double>; ++lane) {
            const uint32_t *const pair = words + (at + lane) * stride, flip = pair[0] >> 31 ? 0xffffffffu : 0;
            fraction[lane] = ((double)(pair[0] ^ flip) + ((double)(pair[1] ^ flip) + 0.5) * 0x1p-32) * 0x1p-32;
            lower[lane] = flip ? 0 : -1;
        }
        store(variates + at, -(lower ? log1p(-fraction) : log(fraction)));
    }
}

// The classes that have arrived, as a table with open addressing.
class Arrived {
   public:
    Arrived(int64_t* slots, int bits) : slots_(slots), bits_(bits) {
        for (int64_t at = 0; at < (int64_t)1 << bits; ++at) slots[at] = -1;
    }
    // whether the class is new
    bool add(int64_t id) {
        for (uint64_t at = (uint64_t)id * 0x9E3779B97F4A7C15u >> (64 - bits_);; at = (at + 1) & (((uint64_t)1 << bits_) - 1)) {
            if (slots_[at] == id) return false;
            if (slots_[at] >= 0) continue;
            slots_[at] = id;
            return true;
        }
    }

   private:
    int64_t* slots_;
    int bits_;
};

// (seed, law..., rows, wanted, tries): the first classes of each row, their times and log-probabilities; and how many
// rows lack some after all their tries. Try i of row r has the words 4 (r n + i) and on.
const char* first_arrivals(Call& call) {
    const Philox philox(*call.tensor(0).at<uint64_t>());
    const Law law(call, 1);
    const int64_t sizes[] = {call.integer(9), call.integer(10)}, strides[] = {sizes[1], 1}, tries = call.integer(11);
    const int64_t wanted = sizes[1];
    const Tensor ids = call.result(2, sizes, strides, aoti_torch_dtype_int64());
    const Tensor times = call.result(2, sizes, strides, aoti_torch_dtype_float64());
    const Tensor log_probs = call.result(2, sizes, strides, aoti_torch_dtype_float64());
    const Tensor short_rows = call.result(0, nullptr, nullptr, aoti_torch_dtype_int64());
    if (!ids.handle || !times.handle || !log_probs.handle || !short_rows.handle) return NO_MEMORY;
    int64_t* const lacking = short_rows.at<int64_t>();
    *lacking = 0;
    int bits = 1;
    while ((int64_t)1 << bits < 2 * wanted) ++bits;
    return in_parallel(sizes[0], 1024 / wanted, [&](int64_t first, int64_t last) {
        const Scratch scratch(sizeof(int64_t) << bits);
        if (!scratch.as<int64_t>()) return false;
        for (int64_t row = first; row < last; ++row) {
            Arrived arrived(scratch.as<int64_t>(), bits);
            double clock = 0;
            int64_t found = 0;
            for (int64_t start = 0; start < tries && found < wanted; start += BLOCK) {
                uint32_t words[4 * BLOCK];
                int64_t drawn[BLOCK];
                double log_q[BLOCK], gaps[BLOCK];
                philox.run(WORDS_OF_BLOCK * (uint64_t)(row * tries + start), WORDS_OF_BLOCK * BLOCK, words);
                law.draw(words, 4, drawn, log_q);
                exponentials(words + 2, 4, gaps);
                for (int at = 0; at < BLOCK && start + at < tries && found < wanted; ++at) {
                    clock += gaps[at];
                    if (!arrived.add(drawn[at])) continue;
                    const int64_t place = row * wanted + found++;
                    ids.at<int64_t>()[place] = drawn[at];
                    times.at<double>()[place] = clock;
                    log_probs.at<double>()[place] = log_q[at];
                }
            }
            if (found < wanted) __atomic_add_fetch(lacking, 1, __ATOMIC_RELAXED);
        }
        return true;
    });
}

}  // namespace

#define PASTE(a, b) a##b
#define NAMED(a, b) PASTE(a, b)

extern "C" __attribute__((visibility("hidden"))) int32_t NAMED(anymax_noise_, ISA)(LibraryHandle library) {
    int32_t failed = 0;
    const auto add = [&](const char* name, BoxedKernel kernel) {
        failed |= torch_library_impl(library, name, kernel, TORCH_VERSION);
    };
    add("anymax::noise_guide", boxed<guide>);
    add("anymax::noise_with_replacement", boxed<with_replacement>);
    add("anymax::noise_first_arrivals", boxed<first_arrivals>);
    return failed;
}
