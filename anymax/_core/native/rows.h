// Rows as kernels work on them: one after the other in what they are computed in, wherever and as whatever they are
// stored. A row is `length` numbers; a tile is a block of rows that lie side by side, entry by entry.
#pragma once

#include "layout.h"

namespace {

constexpr int64_t GRAIN = 1 << 15;  // entries that are worth a thread
// Bytes of a tile, which stays in the second cache.
constexpr int64_t TILE = 1 << 17;
// Columns of a tile. Its rows are no power of two apart, which would put all of a column into a few places of the cache.
constexpr int64_t WIDEST = 1008;
// Blocks into which columns are cut at least, each of a strip or more.
constexpr int64_t FEWEST_BLOCKS = 4;
// Columns of a strip, the narrowest tile: two lines of the cache.
template <class C>
constexpr int64_t STRIP = 128 / sizeof(C);
// A result of more bytes is written past the cache, which would not keep it for its reader.
constexpr int64_t PAST_THE_CACHE = 1 << 23;

// A block of a row's entries, and of neighbouring rows: columns. Rows of a tile are `width` apart.
struct Block {
    int64_t first, last;  // entries
    int64_t count, width;  // columns
};

// What a number of an operand is stored as, of those that are computed as C.
enum Stored { AS_COMPUTED, AS_BF16, AS_FP16 };

inline Stored stored(const Tensor& tensor) {
    return tensor.dtype == aoti_torch_dtype_bfloat16()  ? AS_BF16
           : tensor.dtype == aoti_torch_dtype_float16() ? AS_FP16
                                                        : AS_COMPUTED;
}

// action(T*) with the memory as what it holds
template <class C, class Action>
INLINE void as_stored(Stored type, void* data, const Action& action) {
    if constexpr (sizeof(C) == sizeof(float)) {
        if (type == AS_BF16) return action((bf16*)data);
        if (type == AS_FP16) return action((fp16*)data);
    }
    action((C*)data);
}

// An operand: what a kernel reads or writes of it, one number, row or tile at a time.
template <class C, int K>
struct Operand {
    const Layout<K>& layout;
    int index;
    void* data;
    Stored type;
    // where this says False an operand that is read is `absent`, and its memory is not read
    const bool* mask = nullptr;
    int mask_index = 0;
    C absent = 0;

    Operand(const Layout<K>& layout, int index, const Tensor& tensor)
        : layout(layout), index(index), data(tensor.data), type(stored(tensor)) {}

    bool rows_are_contiguous() const { return layout.row_is_contiguous(index); }
    // whether neighbouring rows are read, entry by entry, where they lie
    bool lines_are_in_place() const { return is_plain() && layout.rows_are_columns(index); }
    // whether each of those lines starts where a whole vector may be stored past the cache
    bool lines_are_aligned() const {
        bool aligned = (intptr_t)data % BYTES == 0;
        for (int at = 0; at < layout.num_inner; ++at) aligned &= layout.inner[at].strides[index] % LANES<C> == 0;
        for (int at = 0; at + 1 < layout.num_outer; ++at) aligned &= layout.outer[at].strides[index] % LANES<C> == 0;
        return aligned;
    }
    // whether a row that is contiguous needs no conversion
    bool is_plain() const { return type == AS_COMPUTED && !mask; }

    C number(int64_t at) const {
        C value;
        as_stored<C>(type, data, [&](auto* from) { value = widened(from[at]); });
        return value;
    }
    void set(int64_t at, C value) const {
        as_stored<C>(type, data, [&](auto* to) { to[at] = narrowed<Pointee<decltype(to)>>(value); });
    }

    // The row, in place if it is there as it is computed, else copied to `room`.
    const C* row(const int64_t (&start)[K], C* room) const {
        if (is_plain() && rows_are_contiguous()) return (C*)data + start[index];
        copy_row(start, room);
        return room;
    }
    // The row's own memory if it is written as it is computed, else `room`, to be handed to `put_row` afterwards.
    C* place(const int64_t (&start)[K], C* room) const {
        return type == AS_COMPUTED && rows_are_contiguous() ? (C*)data + start[index] : room;
    }

    NOT_INLINED void copy_row(const int64_t (&start)[K], C* room) const {
        const bool contiguous = rows_are_contiguous();
        const auto& line = layout.line();
        const int64_t step = line.strides[index], mask_step = mask ? line.strides[mask_index] : 0;
        as_stored<C>(type, data, [&](auto* base) {
            const auto* from = base + start[index];
            int64_t at = 0;
            if (contiguous && !mask)
                for (; at + LANES<C> <= layout.length; at += LANES<C>) store(room + at, load_as(from + at));
            while (at < layout.length) {
                const int64_t first = at % line.size;
                const auto* entry = from + layout.offset_of(at - first, index);
                const bool* takes_part =
                    mask ? mask + start[mask_index] + layout.offset_of(at - first, mask_index) : nullptr;
                for (int64_t inside = first; inside < line.size; ++inside, ++at)
                    room[at] = !mask || takes_part[inside * mask_step] ? widened(entry[inside * step]) : absent;
            }
        });
    }
    NOT_INLINED void put_row(const int64_t (&start)[K], const C* from) const {
        const bool contiguous = rows_are_contiguous();
        const auto& line = layout.line();
        as_stored<C>(type, data, [&](auto* base) {
            using T = Pointee<decltype(base)>;
            T* to = base + start[index];
            if ((const void*)to == (const void*)from) return;
            int64_t at = 0;
            if (contiguous)
                for (; at + LANES<C> <= layout.length; at += LANES<C>) store_as(to + at, load(from + at));
            while (at < layout.length) {
                const int64_t first = at % line.size;
                T* entry = to + layout.offset_of(at - first, index);
                for (int64_t inside = first; inside < line.size; ++inside, ++at)
                    entry[inside * line.strides[index]] = narrowed<T>(from[at]);
            }
        });
    }

    NOT_INLINED void copy_tile(const int64_t (&start)[K], const Block& block, C* room) const {
        const int64_t step = layout.neighbours().strides[index];
        const int64_t mask_step = mask ? layout.neighbours().strides[mask_index] : 0;
        as_stored<C>(type, data, [&](auto* base) {
            for (int64_t entry = block.first; entry < block.last; ++entry, room += block.width) {
                const auto* from = base + start[index] + layout.offset_of(entry, index);
                int64_t at = 0;
                if (step == 1)
                    for (; at + LANES<C> <= block.count; at += LANES<C>) store(room + at, load_as(from + at));
                for (; at < block.count; ++at) room[at] = widened(from[at * step]);
                if (!mask) continue;
                const bool* takes_part = mask + start[mask_index] + layout.offset_of(entry, mask_index);
                for (at = 0; at < block.count; ++at) room[at] = takes_part[at * mask_step] ? room[at] : absent;
            }
        });
    }
    NOT_INLINED void put_tile(const int64_t (&start)[K], const Block& block, const C* from) const {
        const int64_t step = layout.neighbours().strides[index];
        as_stored<C>(type, data, [&](auto* base) {
            using T = Pointee<decltype(base)>;
            for (int64_t entry = block.first; entry < block.last; ++entry, from += block.width) {
                T* to = base + start[index] + layout.offset_of(entry, index);
                int64_t at = 0;
                if (step == 1)
                    for (; at + LANES<C> <= block.count; at += LANES<C>) store_as(to + at, load(from + at));
                for (; at < block.count; ++at) to[at * step] = narrowed<T>(from[at]);
            }
        });
    }
};

// How rows that lie side by side are cut into blocks.
template <class C>
struct Tiling {
    int64_t width, blocks, height;

    template <int K>
    explicit Tiling(const Layout<K>& layout, int operands = 1) {
        const int64_t size = layout.neighbours().size;
        const int64_t room = TILE / sizeof(C) / operands;
        // whole rows where they fit into a tile of some width, else as many entries as fit into a wide one
        width = room / layout.length / LANES<C> * LANES<C>;
        if (width < STRIP<C> || width > WIDEST) width = WIDEST;
        // before the width is cut to what there is: how a row is cut must not follow from how many there are
        height = layout.length * width <= room ? layout.length : room / width;
        // narrower where there would be too few blocks for the threads
        const int64_t wanted = (FEWEST_BLOCKS - 1) / (layout.rows / size) + 1;
        int64_t share = (size - 1) / wanted + 1;
        if (share < STRIP<C>) share = size < STRIP<C> ? size : STRIP<C>;
        if (width > share) width = (share + LANES<C> - 1) / LANES<C> * LANES<C>;
        if (width % 128 == 0) width -= LANES<C>;
        cut_into(width, size);
    }
    void cut_into(int64_t columns, int64_t size) {
        width = columns;
        blocks = (size + width - 1) / width;
    }
};

// action(start, columns) for the units first .. last of a tiling: where the operands of a block of columns start
template <class C, int K, class Action>
void each_block(const Layout<K>& layout, const Tiling<C>& tiling, int64_t first, int64_t last, const Action& action) {
    const auto& neighbours = layout.neighbours();
    for (int64_t unit = first; unit < last; ++unit) {
        int64_t start[K];
        layout.start_of(unit / tiling.blocks, start, 1);
        const int64_t column = unit % tiling.blocks * tiling.width;
        for (int operand = 0; operand < K; ++operand) start[operand] += column * neighbours.strides[operand];
        action(start, neighbours.size - column < tiling.width ? neighbours.size - column : tiling.width);
    }
}

// action(block) for the entries of `count` columns, one tile after the other
template <class C, class Action>
INLINE void each_tile(const Tiling<C>& tiling, int64_t length, int64_t count, const Action& action) {
    for (Block block{0, 0, count, tiling.width}; block.first < length; block.first = block.last) {
        block.last = length - block.first < tiling.height ? length : block.first + tiling.height;
        action(block);
    }
}

// Rows of so many entries together, and so many rows at most, are worked on as a group.
constexpr int64_t GROUP = 2048, MOST_ROWS = 32;

constexpr int64_t rows_of_group(int64_t length) {
    const int64_t rows = GROUP / length;
    return rows < 1 ? 1 : rows < MOST_ROWS ? rows : MOST_ROWS;
}

// The lines of a strip of an operand, which lie in place, become action(entry, part).
template <class C, int K, class Action>
INLINE void write_strip(const Operand<C, K>& operand, const int64_t (&start)[K], bool stream, const Action& action) {
    const int64_t step = operand.layout.line().strides[operand.index];
    C* to = (C*)operand.data + start[operand.index];
    for (int64_t entry = 0; entry < operand.layout.length; ++entry, to += step)
#pragma GCC unroll 8
        for (int part = 0; part < STRIP<C> / LANES<C>; ++part) {
            C* const place = to + part * LANES<C>;
            const Vec<C> value = action(entry, part);
            if (stream)
                store_past_the_cache(place, value);
            else
                store(place, value);
        }
}

// ---- over one row ----

template <class T>
INLINE Vec<Compute<T>> load_some_as(const T* from, int64_t count, Compute<T> fill) {
    return count == LANES<Compute<T>> ? load_as(from) : load_part_as(from, count, fill);
}

template <class C>
INLINE Vec<C> load_some(const C* from, int64_t count, C fill) {
    return load_some_as(from, count, fill);
}

template <class T>
Compute<T> largest(const T* row, int64_t length) {
    using C = Compute<T>;
    const Vec<C> lowest = all(-(C)INF);
    Vec<C> tops[4] = {lowest, lowest, lowest, lowest};
    int64_t at = 0;
    for (; at + 4 * LANES<C> <= length; at += 4 * LANES<C>)
        for (int part = 0; part < 4; ++part) tops[part] = larger(load_as(row + at + part * LANES<C>), tops[part]);
    for (; at + LANES<C> <= length; at += LANES<C>) tops[0] = larger(load_as(row + at), tops[0]);
    if (at < length) tops[1] = larger(load_part_as(row + at, length - at, -(C)INF), tops[1]);
    return largest_of_lanes<C>(larger(larger(tops[0], tops[1]), larger(tops[2], tops[3])));
}

// The sum of action(position, count) over vectors of a row; lanes behind its end have to be 0. Sums of CHUNK vectors are
// added up, so that the error grows with the root of the length at most.
constexpr int64_t CHUNK = 64;

template <class C, class Action>
INLINE C sum_over(int64_t length, const Action& action) {
    Vec<C> totals[4] = {};
    int64_t at = 0;
    while (at + 4 * LANES<C> <= length) {
        Vec<C> sums[4] = {};
        const int64_t rest = (length - at) / (4 * LANES<C>) * (4 * LANES<C>);
        const int64_t end = at + (rest < CHUNK * LANES<C> ? rest : CHUNK * LANES<C>);
        for (; at < end; at += 4 * LANES<C>)
#pragma GCC unroll 4
            for (int part = 0; part < 4; ++part) sums[part] += action(at + part * LANES<C>, (int64_t)LANES<C>);
        for (int part = 0; part < 4; ++part) totals[part] += sums[part];
    }
    for (int part = 0; at < length; at += LANES<C>, ++part)
        totals[part] += action(at, length - at < LANES<C> ? length - at : LANES<C>);
    return sum_of_lanes<C>((totals[0] + totals[1]) + (totals[2] + totals[3]));
}

template <class C>
C sum_of(const C* numbers, int64_t count) {
    return sum_over<C>(
        count, [&](int64_t at, int64_t some) INLINED { return load_some(numbers + at, some, (C)0); });
}

// to[..] = action(position, count) over vectors of a row, past the cache if `stream` and it is stored as it is computed
template <class T, class Action>
INLINE void write_over(T* to, int64_t length, bool stream, const Action& action) {
    using C = Compute<T>;
    int64_t at = 0;
    if (stream && sizeof(T) == sizeof(C)) {
        const int64_t head = (BYTES - (intptr_t)to % BYTES) % BYTES / sizeof(T);
        if (head < length) {
            if (head > 0) store_part_as(to, action((int64_t)0, head), head);
#pragma GCC unroll 2
            for (at = head; at + LANES<C> <= length; at += LANES<C>)
                store_past_the_cache((C*)to + at, action(at, (int64_t)LANES<C>));
        }
    } else {
#pragma GCC unroll 4
        for (; at + LANES<C> <= length; at += LANES<C>) store_as(to + at, action(at, (int64_t)LANES<C>));
    }
    if (at < length) store_part_as(to + at, action(at, length - at), length - at);
}

// The same of bytes, wherever a number starts.
inline void write_past_the_cache(void* to, const void* from, int64_t bytes) {
    int64_t at = (BYTES - (intptr_t)to % BYTES) % BYTES;
    if (at > bytes) at = bytes;
    memcpy(to, from, at);
    for (; at + BYTES <= bytes; at += BYTES)
        store_past_the_cache((float*)((char*)to + at), load((const float*)((const char*)from + at)));
    memcpy((char*)to + at, (const char*)from + at, bytes - at);
}

}  // namespace
