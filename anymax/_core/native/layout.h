// How the rows of a map lie in memory: which axes compete, which count rows, and the strides of every operand.
#pragma once

#include "call.h"

namespace {

// K operands of one shape (strides of 0 where one broadcasts). Axes that follow one another in memory are one.
template <int K>
struct Layout {
    struct Axis {
        int64_t size, strides[K];
    };
    Axis outer[MOST_DIMS], inner[MOST_DIMS];  // rows; what competes inside a row
    int num_outer = 0, num_inner = 0;
    int64_t rows = 1, length = 1;  // how many rows, and how many entries compete in each

    Layout(const Tensor (&operands)[K], int64_t axes) {
        const Tensor& first = operands[0];
        for (int64_t axis = 0; axis < first.ndim; ++axis) {
            const bool competes = axes >> axis & 1;
            (competes ? length : rows) *= first.sizes[axis];
            if (first.sizes[axis] == 1) continue;
            Axis entry{first.sizes[axis], {}};
            for (int operand = 0; operand < K; ++operand) entry.strides[operand] = operands[operand].strides[axis];
            if (competes)
                inner[num_inner++] = entry;
            else
                outer[num_outer++] = entry;
        }
        // rows are taken in the order of memory; what competes keeps its order, and so does a sum over it
        for (int at = 1; at < num_outer; ++at)
            for (int to = at; to > 0 && outer[to - 1].strides[0] < outer[to].strides[0]; --to) {
                const Axis other = outer[to];
                outer[to] = outer[to - 1];
                outer[to - 1] = other;
            }
        num_outer = joined(outer, num_outer);
        num_inner = joined(inner, num_inner);
        if (num_inner == 0) inner[num_inner++] = {1, {}};
        if (num_outer == 0) outer[num_outer++] = {1, {}};
    }

    // the innermost of the axes that compete, along which an operand is read
    const Axis& line() const { return inner[num_inner - 1]; }
    // the axis of neighbouring rows
    const Axis& neighbours() const { return outer[num_outer - 1]; }
    bool row_is_contiguous(int operand) const {
        return num_inner == 1 && (line().size == 1 || line().strides[operand] == 1);
    }
    // whether rows lie side by side, entry by entry
    bool rows_are_columns(int operand) const { return neighbours().strides[operand] == 1; }

    // where each operand's row starts; `skip` innermost outer axes are not counted
    void start_of(int64_t row, int64_t (&offsets)[K], int skip = 0) const {
        for (int operand = 0; operand < K; ++operand) offsets[operand] = 0;
        for (int at = num_outer - 1 - skip; at >= 0; --at) {
            const int64_t index = row % outer[at].size;
            row /= outer[at].size;
            for (int operand = 0; operand < K; ++operand) offsets[operand] += index * outer[at].strides[operand];
        }
    }

    // where the operands of the row `at` places behind lie, along the axis of neighbouring rows
    void neighbour_of(const int64_t (&start)[K], int64_t at, int64_t (&offsets)[K]) const {
        for (int operand = 0; operand < K; ++operand)
            offsets[operand] = start[operand] + at * neighbours().strides[operand];
    }

    // how far an entry of a row lies from the row's start
    int64_t offset_of(int64_t entry, int operand) const {
        int64_t offset = 0;
        for (int at = num_inner - 1; at > 0; --at) {
            offset += entry % inner[at].size * inner[at].strides[operand];
            entry /= inner[at].size;
        }
        return offset + entry * inner[0].strides[operand];
    }

   private:
    static int joined(Axis* axes, int count) {
        int kept = 0;
        for (int at = 0; at < count; ++at) {
            bool follows = kept > 0;
            for (int operand = 0; follows && operand < K; ++operand)
                follows = axes[kept - 1].strides[operand] == axes[at].size * axes[at].strides[operand];
            if (!follows) {
                axes[kept++] = axes[at];
                continue;
            }
            axes[kept - 1].size *= axes[at].size;
            for (int operand = 0; operand < K; ++operand) axes[kept - 1].strides[operand] = axes[at].strides[operand];
        }
        return kept;
    }
};

// A contiguous tensor of a number per row, without the axis that competes, as one of the input's shape.
inline Tensor along_rows(const Tensor& numbers, const Tensor& input, int64_t axis, int64_t (&strides)[MOST_DIMS]) {
    int64_t step = 1;
    for (int64_t at = input.ndim; at-- > 0;) {
        strides[at] = at == axis ? 0 : step;
        if (at != axis) step *= input.sizes[at];
    }
    Tensor row = numbers;
    row.ndim = input.ndim;
    row.sizes = input.sizes;
    row.strides = strides;
    return row;
}

}  // namespace
