// nce_loss, negative_sampling_loss and sampled_softmax_loss: which rows of the class table are gathered, and the step
// from scores to a loss and its gradient. Formulas: api.py. The definition: reference.py. The gather and the products
// between them are torch's, but for the scores of a few rows that need no gradient.

#include "../../_core/native/call.h"

namespace {

// HITS_GO: draws that hit the target are left out. OWN_GOES: a row's draw of its own number is. RACE: the log counts are log-probabilities of the k + 1 arrivals of a
// race, which `times` turn into those of the draws that remain. RANKING: the target is corrected too.
enum Flag { NCE = 1, HITS_GO = 2, RACE = 4, RANKING = 8, MEAN = 16, SUM = 32, OWN_GOES = 64 };

// rows of so many entries are worth a thread
constexpr int64_t GRAIN = 16384;
// entries that are summed in the dtype of the computation
constexpr int64_t BLOCK = 1024;

// Ids that can be looked up: of the draws, 0 in place of what is no class; of the targets, the row's first draw in place
// of one that is ignored or out of range.
void look_up(const Tensor& target, const Tensor& ids, int64_t num_classes, int64_t ignored, int64_t* safe,
             int64_t* drawn) {
    const int64_t rows = target.numel(), draws = ids.numel(), step = ids.ndim > 1 ? ids.sizes[ids.ndim - 1] : 0;
    const auto inside = [&](int64_t id) { return id >= 0 && id < num_classes; };
    for (int64_t at = 0; at < draws; ++at) {
        const int64_t id = ids.at<int64_t>()[at];
        drawn[at] = inside(id) ? id : 0;
    }
    for (int64_t row = 0; row < rows; ++row) {
        const int64_t id = target.at<int64_t>()[row];
        safe[row] = id != ignored && inside(id) ? id : drawn[row * step];
    }
}

// (target, ids, num_classes, ignore_index): the rows to gather, targets first; and how many targets are ignored
const char* gathered(Call& call) {
    const Tensor target = call.tensor(0), ids = call.tensor(1);
    const int64_t num_classes = call.integer(2), ignored = call.integer(3), rows = target.numel(), draws = ids.numel();
    const int64_t size = rows + draws, stride = 1;
    const Tensor found = call.result(1, &size, &stride, aoti_torch_dtype_int64());
    const Tensor count = call.result(0, nullptr, nullptr, aoti_torch_dtype_int64());
    if (!found.handle || !count.handle) return NO_MEMORY;
    look_up(target, ids, num_classes, ignored, found.at<int64_t>(), found.at<int64_t>() + rows);
    int64_t num_ignored = 0;
    for (int64_t row = 0; row < rows; ++row) num_ignored += target.at<int64_t>()[row] == ignored;
    *count.at<int64_t>() = num_ignored;
    return nullptr;
}

// The scores of a few rows, without a product of matrices around them.
template <class C>
struct Scores {
    const C *features, *table, *bias;
    int64_t width;

    C bias_of(int64_t id) const { return bias ? bias[id] : 0; }

    C of(int64_t row, int64_t id) const {
        const C *const mine = features + row * width, *const weights = table + id * width;
        Vec<C> sum{};
        int64_t at = 0;
        for (; at + LANES<C> <= width; at += LANES<C>) sum += load(mine + at) * load(weights + at);
        if (at < width) sum += load_part(mine + at, width - at, (C)0) * load_part(weights + at, width - at, (C)0);
        return sum_of_lanes<C>(sum) + bias_of(id);
    }

    // What all rows score for the same draws, from the draws side by side; false where there is no memory.
    bool of_shared(const int64_t* ids, int64_t rows, int64_t draws, C* to) const {
        const int64_t end = (draws + LANES<C> - 1) / LANES<C> * LANES<C>;
        const Scratch scratch((width + 1) * end * sizeof(C));
        C* const columns = scratch.as<C>();
        if (!columns) return false;
        C* const biases = columns + width * end;
        for (int64_t draw = 0; draw < end; ++draw) {
            const int64_t id = ids[draw < draws ? draw : 0];
            for (int64_t at = 0; at < width; ++at) columns[at * end + draw] = table[id * width + at];
            biases[draw] = bias_of(id);
        }
        for (int64_t row = 0; row < rows; ++row)
            for (int64_t draw = 0; draw < draws; draw += LANES<C>) {
                Vec<C> sum = load(biases + draw);
                for (int64_t at = 0; at < width; ++at)
                    sum += all(features[row * width + at]) * load(columns + at * end + draw);
                C* const place = to + row * draws + draw;
                if (draws - draw < LANES<C>)
                    store_part(place, sum, draws - draw);
                else
                    store(place, sum);
            }
        return true;
    }
};

// (input, table, bias, target, ids, ignore_index, has_bias), contiguous and of one dtype: the scores of the targets and of
// the draws, and the ids of the targets that were looked up, as in `gathered`
const char* scores(Call& call) {
    const Tensor input = call.tensor(0), table = call.tensor(1), bias = call.tensor(2), target = call.tensor(3),
                 ids = call.tensor(4);
    const int64_t rows = target.numel(), draws = ids.sizes[ids.ndim - 1];
    const bool shared = ids.ndim == 1;
    int64_t sizes[MOST_DIMS], strides[MOST_DIMS];
    for (int64_t axis = 0, step = rows * draws; axis <= target.ndim; ++axis) {
        sizes[axis] = axis < target.ndim ? target.sizes[axis] : draws;
        step /= sizes[axis] ? sizes[axis] : 1;
        strides[axis] = step;
    }
    const Tensor of_target = call.result_reduced(target, 0, input.dtype);
    const Tensor of_noise = call.result(target.ndim + 1, sizes, strides, input.dtype);
    const Tensor found = call.result_reduced(target, 0, target.dtype);
    const Scratch scratch((shared ? draws : rows * draws) * sizeof(int64_t));
    int64_t *const safe = found.at<int64_t>(), *const drawn = scratch.as<int64_t>();
    if (!of_target.handle || !of_noise.handle || !found.handle || !drawn) return NO_MEMORY;
    look_up(target, ids, table.sizes[0], call.integer(5), safe, drawn);
    return as_computed(input, [&](auto tag) -> const char* {
        using C = typename decltype(tag)::type;
        const Scores<C> self{input.at<C>(), table.at<C>(), call.integer(6) ? bias.at<C>() : nullptr,
                             table.sizes[1]};
        for (int64_t row = 0; row < rows; ++row) of_target.at<C>()[row] = self.of(row, safe[row]);
        if (shared) return self.of_shared(drawn, rows, draws, of_noise.at<C>()) ? nullptr : NO_MEMORY;
        for (int64_t at = 0; at < rows * draws; ++at) of_noise.at<C>()[at] = self.of(at / draws, drawn[at]);
        return nullptr;
    });
}

// log(1 - exp(-q t)): the probability to arrive before the time t
double log_inclusion(double log_q, double time) {
    const double rate = exp_of(log_q) * time;
    if (!(rate > 0)) return log_of(rate);
    // (1 - u) / -log u is 1 to second order where u = exp(-rate) was rounded
    const double u = exp_of(-rate);
    if (u == 1) return log_of(rate);
    return u > 0 ? log_of((u - 1) * (rate / log_of(u))) : 0;
}

template <class C>
INLINE Vec<C> magnitude(Vec<C> x) {
    return larger(x, -x);
}

// log(1 + x) for 0 <= x <= 1
template <class C>
INLINE Vec<C> log1p(Vec<C> x) {
    const Vec<C> moved = (C)1 + x;
    return log(moved) - ((moved - (C)1) - x) / moved;
}

template <class C>
struct Step {
    int64_t rows, draws, num_classes, ignored, flags;
    C shift;
    const C *of_target, *of_noise;
    const int64_t *target, *ids;
    const double *log_count, *target_log_count, *times;
    bool shared;

    // (of_target, of_noise, target, ids, log_count, target_log_count, times, num_classes, ignore_index, shift, flags)
    explicit Step(const Tensor (&operands)[7], Call& call) {
        rows = operands[0].numel();
        draws = operands[1].sizes[operands[1].ndim - 1];
        shared = operands[3].ndim == 1;
        of_target = operands[0].at<C>();
        of_noise = operands[1].at<C>();
        target = operands[2].at<int64_t>();
        ids = operands[3].at<int64_t>();
        log_count = operands[4].at<double>();
        target_log_count = operands[5].at<double>();
        times = operands[6].at<double>();
        num_classes = call.integer(7);
        ignored = call.integer(8);
        shift = (C)call.number(9);
        flags = call.integer(10);
    }

    // A row's corrections, and NaN for a draw that is no class; `last`: up to the last time of a race.
    void copy_counts(int64_t row, bool last, C* counts) const {
        const int64_t start = shared ? 0 : row * draws;
        const double time = flags & RACE ? time_of(row, last) : 0;
        for (int64_t at = 0; at < draws; ++at) {
            const double count = log_count[start + at];
            const bool is_class = ids[start + at] >= 0 && ids[start + at] < num_classes;
            counts[at] = !is_class ? (C)NOT_A_NUMBER : (C)(flags & RACE ? log_inclusion(count, time) : count);
        }
    }
    // of the draws + 1 times of a race
    double time_of(int64_t row, bool last) const {
        return times[(shared ? 0 : row * (draws + 1)) + draws - !last];
    }

    // The loss of a row, and its gradient in the scores where one is asked for. `scores` has room for the draws up to a
    // whole vector, `counts` twice.
    C loss_of(int64_t row, C* counts, C* scores, C scale, C* grad_target, C* grad_noise) const {
        const int64_t end = (draws + LANES<C> - 1) / LANES<C> * LANES<C>, id = target[row];
        const int64_t* const drawn = ids + (shared ? 0 : row * draws);
        if (id == ignored) return fill(grad_target, grad_noise, 0);
        bool hit = false;
        for (int64_t at = 0; flags & HITS_GO && at < draws; ++at) hit |= drawn[at] == id;
        double correction = target_log_count[row];
        if (flags & RACE) correction = log_inclusion(correction, time_of(row, hit));
        if (id < 0 || id >= num_classes || correction - correction != 0)
            return fill(grad_target, grad_noise, (C)NOT_A_NUMBER);
        if (!shared) copy_counts(row, hit, counts);
        const C *const given = of_noise + row * draws, *const taken = shared && hit && flags & RACE ? counts + end : counts;
        for (int64_t at = 0; at < draws; ++at) scores[at] = given[at] - shift - taken[at];
        for (int64_t at = draws; at < end; ++at) scores[at] = -(C)INF;
        for (int64_t at = 0; hit && at < draws; ++at)
            if (drawn[at] == id) scores[at] = -(C)INF;
        if (flags & OWN_GOES) scores[row] = -(C)INF;
        // the arrival after those that were asked for stands in for a hit
        if (flags & RACE && !hit) scores[draws - 1] = -(C)INF;
        const C own = of_target[row] - shift - (flags & (NCE | RANKING) ? (C)correction : 0);
        return flags & NCE ? nce(own, scores, end, scale, grad_target, grad_noise)
                           : softmax(own, scores, end, scale, grad_target, grad_noise);
    }

   private:
    C fill(C* grad_target, C* grad_noise, C value) const {
        if (grad_target) *grad_target = value;
        for (int64_t at = 0; grad_noise && at < draws; ++at) grad_noise[at] = value;
        return value;
    }

    // softplus(x) = log(1 + e^x)
    static INLINE Vec<C> softplus(Vec<C> x) {
        const Vec<C> found = larger(x, Vec<C>{}) + log1p<C>(exp(-magnitude<C>(x)));
        return x == x ? found : x;
    }
    static INLINE Vec<C> sigmoid(Vec<C> x) {
        const Vec<C> small = exp(-magnitude<C>(x));
        const Vec<C> found = (x > Vec<C>{} ? all((C)1) : small) / ((C)1 + small);
        return x == x ? found : x;
    }
    // the sum of action(scores) over whole vectors
    template <class Action>
    static INLINE double sum(const C* scores, int64_t end, Action action) {
        double total = 0;
        for (int64_t start = 0; start < end; start += BLOCK) {
            const int64_t stop = end - start < BLOCK ? end : start + BLOCK;
            Vec<C> part{};
            for (int64_t at = start; at < stop; at += LANES<C>) part += action(load(scores + at), at);
            total += sum_of_lanes<C>(part);
        }
        return total;
    }
    INLINE void write(C* grad_noise, int64_t at, Vec<C> value) const {
        if (at + LANES<C> <= draws)
            store(grad_noise + at, value);
        else
            store_part(grad_noise + at, value, draws - at);
    }

    C nce(C own, C* scores, int64_t end, C scale, C* grad_target, C* grad_noise) const {
        const double of_draws = sum(scores, end, [&](Vec<C> x, int64_t) INLINED { return softplus(x); });
        if (grad_target) {
            *grad_target = -scale * sigmoid(all(-own))[0];
            for (int64_t at = 0; at < end; at += LANES<C>) write(grad_noise, at, sigmoid(load(scores + at)) * scale);
        }
        return (C)(softplus(all(-own))[0] + of_draws);
    }

    C softmax(C own, C* scores, int64_t end, C scale, C* grad_target, C* grad_noise) const {
        Vec<C> tops = all(own), spoilt = all(own - own == 0 || own < 0 ? (C)0 : (C)NOT_A_NUMBER);
        for (int64_t at = 0; at < end; at += LANES<C>) {
            const Vec<C> x = load(scores + at);
            tops = larger(x, tops);
            spoilt = x == x ? spoilt : x;
        }
        const C top = largest_of_lanes<C>(tops) + sum_of_lanes<C>(spoilt);
        // nothing but -inf, +inf or NaN
        if (!(top - top == 0)) return fill(grad_target, grad_noise, (C)NOT_A_NUMBER);
        const double others = sum(scores, end, [&](Vec<C> x, int64_t at) INLINED {
            const Vec<C> weight = exp(x - top);
            store(scores + at, weight);
            return weight;
        });
        const C mine = exp(all(own - top))[0];
        const double total = mine + others;
        if (grad_target) {
            *grad_target = scale * (C)(-others / total);
            const C share = (C)(scale / total);
            for (int64_t at = 0; at < end; at += LANES<C>) write(grad_noise, at, load(scores + at) * share);
        }
        return (C)(log_of(total) - (double)(own - top));
    }
};

// as Step's constructor says; with a gradient the results are the loss and what it is per score
template <bool HAS_GRADIENT>
const char* step(Call& call) {
    const Tensor operands[] = {call.tensor(0), call.tensor(1), call.tensor(2), call.tensor(3),
                               call.tensor(4), call.tensor(5), call.tensor(6)};
    const Tensor &of_target = operands[0], &of_noise = operands[1];
    const int64_t flags = call.integer(10);
    const bool is_reduced = flags & (MEAN | SUM);
    const Tensor result = is_reduced ? call.result(0, nullptr, nullptr, of_target.dtype)
                                     : call.result_reduced(of_target, 0, of_target.dtype);
    if (!result.handle) return NO_MEMORY;
    Tensor grad_target{}, grad_noise{};
    if (HAS_GRADIENT) {
        grad_target = call.result_reduced(of_target, 0, of_target.dtype);
        grad_noise = call.result_reduced(of_noise, 0, of_target.dtype);
        if (!grad_target.handle || !grad_noise.handle) return NO_MEMORY;
    }
    return as_computed(of_target, [&](auto tag) -> const char* {
        using C = typename decltype(tag)::type;
        const Step<C> self(operands, call);
        const Scratch losses(is_reduced ? self.rows * sizeof(C) : 0);
        C* const to = is_reduced ? losses.as<C>() : result.at<C>();
        if (is_reduced && !to) return NO_MEMORY;
        int64_t counted = 0;
        for (int64_t row = 0; row < self.rows; ++row) counted += self.target[row] != self.ignored;
        const C scale = flags & MEAN ? (C)(1.0 / (double)(counted ? counted : 1)) : 1;
        const int64_t room = (self.draws + LANES<C> - 1) / LANES<C> * LANES<C>;
        const char* const problem = in_parallel(self.rows, GRAIN / (self.draws + 1), [&](int64_t first, int64_t last) {
            const Scratch scratch(3 * room * sizeof(C));
            C* const counts = scratch.as<C>();
            if (!counts) return false;
            if (self.shared) self.copy_counts(0, false, counts);
            if (self.shared && flags & RACE) self.copy_counts(0, true, counts + room);
            for (int64_t row = first; row < last; ++row)
                to[row] = self.loss_of(row, counts, counts + 2 * room, scale,
                                       HAS_GRADIENT ? grad_target.at<C>() + row : nullptr,
                                       HAS_GRADIENT ? grad_noise.at<C>() + row * self.draws : nullptr);
            return true;
        });
        if (problem || !is_reduced) return problem;
        double total = 0;
        for (int64_t row = 0; row < self.rows; ++row) total += to[row];
        *result.at<C>() = (C)(flags & MEAN ? total / (double)(counted ? counted : 1) : total);
        return nullptr;
    });
}

}  // namespace

#define PASTE(a, b) a##b
#define NAMED(a, b) PASTE(a, b)

extern "C" __attribute__((visibility("hidden"))) int32_t NAMED(anymax_nce_, ISA)(LibraryHandle library) {
    int32_t failed = 0;
    const auto add = [&](const char* name, BoxedKernel kernel) {
        failed |= torch_library_impl(library, name, kernel, TORCH_VERSION);
    };
    add("anymax::nce_gathered", boxed<gathered>);
    add("anymax::nce_scores", boxed<scores>);
    add("anymax::nce_step", boxed<step<false>>);
    add("anymax::nce_step_with_gradient", boxed<step<true>>);
    return failed;
}
