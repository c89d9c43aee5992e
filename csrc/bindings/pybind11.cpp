// Binding `pybind11`: functions of Python, as most CUDA projects have them. One file for each CPython and each torch.
// The package makes operators of the functions, by the schemas that it reads here.
#include <torch/extension.h>

#include "at_tensor.h"

using At = wheelfuse_reference::Operators<wheelfuse_reference::AtTensor>;

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) {
  module.doc() = "RMSNorm with FP8 quantisation, and MXFP8 quantisation.";
  std::vector<std::string> schemas;
  WHEELFUSE_REFERENCE_SCHEMAS(schemas.emplace_back);
  module.attr("schemas") = schemas;

  const py::call_guard<py::gil_scoped_release> without_gil;
  module.def("rms_norm_fp8", &At::rms_norm_fp8, without_gil);
  module.def("rms_norm_fp8_out", &At::rms_norm_fp8_out, without_gil);
  module.def("mxfp8", &At::mxfp8, without_gil);
  module.def("mxfp8_out", &At::mxfp8_out, without_gil);
}
