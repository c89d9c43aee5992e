// Binding `torch-library`: TORCH_LIBRARY in place of PYBIND11_MODULE. One file for every CPython, since only the empty
// module uses its API, but for one torch: classes of its C++ are compiled in.
#include <torch/library.h>

#include "at_tensor.h"
#include "wheelfuse_module.h"

using At = wheelfuse_reference::Operators<wheelfuse_reference::AtTensor>;

TORCH_LIBRARY(wheelfuse_reference, library) { WHEELFUSE_REFERENCE_SCHEMAS(library.def); }

TORCH_LIBRARY_IMPL(wheelfuse_reference, CompositeExplicitAutograd, library) {
  library.impl("rms_norm_fp8", &At::rms_norm_fp8);
  library.impl("mxfp8", &At::mxfp8);
}

TORCH_LIBRARY_IMPL(wheelfuse_reference, CPU, library) {
  library.impl("rms_norm_fp8_out", &At::rms_norm_fp8_out);
  library.impl("mxfp8_out", &At::mxfp8_out);
}

#ifdef WHEELFUSE_REFERENCE_CUDA
TORCH_LIBRARY_IMPL(wheelfuse_reference, CUDA, library) {
  library.impl("rms_norm_fp8_out", &At::rms_norm_fp8_out);
  library.impl("mxfp8_out", &At::mxfp8_out);
}
#endif

WHEELFUSE_MODULE(_C)
