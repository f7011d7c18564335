// The part of torch's stable C interface that the kernels use. All of it is in torch 2.10 and stays (see
// torch/csrc/inductor/aoti_torch/c/shim.h and torch/csrc/stable/c/shim.h there), so that neither torch's headers nor
// torch itself are needed to build, and one library serves every version.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct TorchTensor;
struct TorchLibrary;
using TensorHandle = TorchTensor*;
using LibraryHandle = TorchLibrary*;
using StackValue = uint64_t;  // an int, a double or a handle, bit for bit
using BoxedKernel = void (*)(StackValue* stack, uint64_t num_arguments, uint64_t num_results);

// TORCH_ABI_VERSION of torch 2.10.0
constexpr uint64_t TORCH_VERSION = 0x020a000000000000;

extern "C" {
// each of these returns 0, or a code where it failed
int32_t aoti_torch_library_init_impl(
    const char* name, const char* dispatch_key, const char* file, uint32_t line, LibraryHandle* library);
int32_t torch_library_impl(LibraryHandle library, const char* name, BoxedKernel kernel, uint64_t version);
int32_t aoti_torch_get_data_ptr(TensorHandle tensor, void** data);
int32_t aoti_torch_get_dim(TensorHandle tensor, int64_t* ndim);
int32_t aoti_torch_get_sizes(TensorHandle tensor, int64_t** sizes);
int32_t aoti_torch_get_strides(TensorHandle tensor, int64_t** strides);
int32_t aoti_torch_get_dtype(TensorHandle tensor, int32_t* dtype);
int32_t aoti_torch_empty_strided(
    int64_t ndim, const int64_t* sizes, const int64_t* strides, int32_t dtype, int32_t device, int32_t device_index,
    TensorHandle* tensor);
int32_t aoti_torch_delete_tensor_object(TensorHandle tensor);
int32_t torch_parallel_for(
    int64_t begin, int64_t end, int64_t grain, void (*function)(int64_t, int64_t, void*), void* context);
// raises a RuntimeError where the condition is false
void aoti_torch_check(bool condition, const char* function, const char* file, uint32_t line, const char* message);
int32_t aoti_torch_device_type_cpu();
size_t aoti_torch_dtype_element_size(int32_t dtype);
int32_t aoti_torch_dtype_float32();
int32_t aoti_torch_dtype_float64();
int32_t aoti_torch_dtype_float16();
int32_t aoti_torch_dtype_bfloat16();
int32_t aoti_torch_dtype_int32();
int32_t aoti_torch_dtype_int64();
int32_t aoti_torch_dtype_bool();
}
