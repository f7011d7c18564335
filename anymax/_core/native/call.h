// A call as torch makes it: arguments on a stack, results on the same stack. Kernels see tensors and numbers.
#pragma once

#include <stdlib.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "torch_abi.h"
#include "vec.h"

namespace {

constexpr int MOST_DIMS = 64;  // torch allows no more

constexpr intptr_t HUGE_PAGE = 1 << 21;  // bytes
// A result has huge pages if it can fill so many.
constexpr intptr_t FEWEST_HUGE_PAGES = 4;

constexpr const char* NO_MEMORY = "not enough memory";

struct Tensor {
    TensorHandle handle;
    void* data;
    int64_t ndim;
    const int64_t* sizes;
    const int64_t* strides;
    int32_t dtype;

    int64_t numel() const {
        int64_t count = 1;
        for (int64_t axis = 0; axis < ndim; ++axis) count *= sizes[axis];
        return count;
    }
    template <class T>
    T* at() const {
        return (T*)data;
    }
};

// The arguments belong to the callee, which gives them back when the call is done.
class Call {
   public:
    explicit Call(StackValue* stack) : stack_(stack) {}

    void close(bool succeeded) {
        for (int index = 0; index < num_owned_; ++index) aoti_torch_delete_tensor_object(owned_[index]);
        for (int index = 0; index < num_results_; ++index) {
            if (succeeded)
                stack_[index] = (StackValue)results_[index];
            else
                aoti_torch_delete_tensor_object(results_[index]);
        }
    }

    Tensor tensor(int index) {
        const auto handle = (TensorHandle)stack_[index];
        owned_[num_owned_++] = handle;
        return view(handle);
    }
    int64_t integer(int index) const { return (int64_t)stack_[index]; }
    double number(int index) const {
        double value;
        memcpy(&value, &stack_[index], 8);
        return value;
    }

    // The next result. Its data is nullptr where there is no memory for it.
    Tensor result(int64_t ndim, const int64_t* sizes, const int64_t* strides, int32_t dtype) {
        TensorHandle handle;
        if (aoti_torch_empty_strided(ndim, sizes, strides, dtype, aoti_torch_device_type_cpu(), 0, &handle) != 0)
            return {nullptr, nullptr, ndim, sizes, strides, dtype};
        results_[num_results_++] = handle;
        const Tensor tensor = view(handle);
        ask_for_huge_pages(tensor);
        return tensor;
    }
    // A result of the same shape; with the same strides too if the tensor is dense, else contiguous.
    Tensor result_like(const Tensor& tensor, int32_t dtype) {
        if (is_dense(tensor)) return result(tensor.ndim, tensor.sizes, tensor.strides, dtype);
        int64_t strides[MOST_DIMS];
        contiguous_strides(tensor.ndim, tensor.sizes, strides);
        return result(tensor.ndim, tensor.sizes, strides, dtype);
    }
    // A contiguous result of the tensor's shape with size 1 on the axes of the bit mask.
    Tensor result_reduced(const Tensor& tensor, int64_t axes, int32_t dtype) {
        int64_t sizes[MOST_DIMS], strides[MOST_DIMS];
        for (int64_t axis = 0; axis < tensor.ndim; ++axis) sizes[axis] = axes >> axis & 1 ? 1 : tensor.sizes[axis];
        contiguous_strides(tensor.ndim, sizes, strides);
        return result(tensor.ndim, sizes, strides, dtype);
    }

   private:
    // Where memory is fresh, faults in small pages take twice as long as a softmax. It is no error if the system declines.
    static void ask_for_huge_pages(const Tensor& tensor) {
#if defined(__linux__)
        const intptr_t start = (intptr_t)tensor.data;
        const intptr_t end = start + tensor.numel() * (int64_t)aoti_torch_dtype_element_size(tensor.dtype);
        const intptr_t first = (start + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE, last = end / HUGE_PAGE * HUGE_PAGE;
        if (last - first >= FEWEST_HUGE_PAGES * HUGE_PAGE) madvise((void*)first, last - first, MADV_HUGEPAGE);
#endif
    }
    static Tensor view(TensorHandle handle) {
        Tensor tensor{handle, nullptr, 0, nullptr, nullptr, 0};
        int64_t *sizes, *strides;
        aoti_torch_get_data_ptr(handle, &tensor.data);
        aoti_torch_get_dim(handle, &tensor.ndim);
        aoti_torch_get_sizes(handle, &sizes);
        aoti_torch_get_strides(handle, &strides);
        aoti_torch_get_dtype(handle, &tensor.dtype);
        tensor.sizes = sizes;
        tensor.strides = strides;
        return tensor;
    }
    static void contiguous_strides(int64_t ndim, const int64_t* sizes, int64_t* strides) {
        int64_t step = 1;
        for (int64_t axis = ndim; axis-- > 0;) {
            strides[axis] = step;
            step *= sizes[axis] > 1 ? sizes[axis] : 1;
        }
    }
    // every element is somewhere in a block of memory of numel() elements, as torch's is_non_overlapping_and_dense
    static bool is_dense(const Tensor& tensor) {
        int64_t expected = 1;
        for (uint64_t seen = 0;;) {
            int64_t next = -1;
            for (int64_t axis = 0; axis < tensor.ndim; ++axis) {
                if (tensor.sizes[axis] == 0) return true;
                if (tensor.sizes[axis] == 1 || seen >> axis & 1) continue;
                if (next < 0 || tensor.strides[axis] < tensor.strides[next]) next = axis;
            }
            if (next < 0) return true;
            if (tensor.strides[next] != expected) return false;
            expected *= tensor.sizes[next];
            seen |= (uint64_t)1 << next;
        }
    }

    StackValue* stack_;
    TensorHandle owned_[8], results_[4];
    int num_owned_ = 0, num_results_ = 0;
};

// A kernel reads its arguments, makes its results and answers nullptr, or says what went wrong.
template <const char* (*KERNEL)(Call&)>
void boxed(StackValue* stack, uint64_t, uint64_t) {
    Call call(stack);
    const char* problem = KERNEL(call);
    call.close(problem == nullptr);
    // raises, without a destructor to run on the way
    if (problem) aoti_torch_check(false, "anymax", "call.h", __LINE__, problem);
}

template <class T>
struct Tag {
    using type = T;
};

// action(Tag<C>{}) with the type that the tensor's numbers are computed in
template <class Action>
const char* as_computed(const Tensor& tensor, Action action) {
    return tensor.dtype == aoti_torch_dtype_float64() ? action(Tag<double>{}) : action(Tag<float>{});
}

// Memory for one thread's work, given back at the end of the block.
class Scratch {
   public:
    explicit Scratch(size_t bytes) {
        if (bytes > sizeof small_) base_ = malloc(bytes + BYTES);
        const auto first = (uintptr_t)(base_ ? base_ : small_);
        aligned_ = bytes > sizeof small_ && !base_ ? nullptr : (char*)((first + BYTES - 1) / BYTES * BYTES);
    }
    ~Scratch() { free(base_); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    template <class T>
    T* as() const {
        return (T*)aligned_;
    }

   private:
    void* base_ = nullptr;
    char* aligned_;
    alignas(BYTES) char small_[8192];
};

// Work on the units 0 .. count in threads. The action is called with a first and a last unit and answers false where
// it lacks memory.
template <class Action>
const char* in_parallel(int64_t count, int64_t grain, const Action& action) {
    struct Context {
        const Action* action;
        bool failed;
    } context{&action, false};
    torch_parallel_for(
        0, count, grain < 1 ? 1 : grain,
        [](int64_t first, int64_t last, void* pointer) {
            auto* shared = (Context*)pointer;
            if (!(*shared->action)(first, last)) __atomic_store_n(&shared->failed, true, __ATOMIC_RELAXED);
        },
        &context);
    return context.failed ? NO_MEMORY : nullptr;
}

}  // namespace
