# Extension modules for one CPython, or for several within one build. docs/how-to/cmake.md tells how to use it.
#
#   wheelfuse_enable_cuda([OPTIONAL])
#   wheelfuse_add_extension(TARGET <name> SOURCES <file>...
#     [COMMON <file>...] [PYTHONS <interpreter>...] [STABLE_ABI <version>] [TORCH] [CUDA]
#     [MODULE <name>] [DESTINATION <directory>] [OUTPUT_DIRECTORY <directory>]
#     [INCLUDE_DIRECTORIES <directory>...] [DEFINITIONS <definition>...] [OPTIONS <option>...]
#     [LIBRARIES <library>...])

include_guard(GLOBAL)
if(CMAKE_VERSION VERSION_LESS 3.25)
  message(FATAL_ERROR "WheelfuseExtension needs CMake 3.25 or newer, this is ${CMAKE_VERSION}")
endif()
cmake_policy(VERSION 3.25)

# What interpreters are asked, which may be bare and old. Properties, since this file is read in one directory alone.
set_property(GLOBAL PROPERTY _WHEELFUSE_ASK_python [[
import json, os, sys, sysconfig
variables = sysconfig.get_config_vars()
include = variables.get("INCLUDEPY") or ""
print(json.dumps({
    "version": "%d.%d" % sys.version_info[:2],
    "soabi": variables.get("SOABI") or "",
    "suffix": variables.get("EXT_SUFFIX") or "",
    "free_threaded": bool(variables.get("Py_GIL_DISABLED")),
    "include": include,
    "headers": os.path.isfile(os.path.join(include, "Python.h")),
}))
]])
set_property(GLOBAL PROPERTY _WHEELFUSE_ASK_torch [[
import json, os, torch
print(json.dumps({
    "directory": os.path.dirname(os.path.abspath(torch.__file__)),
    "cuda": torch.version.cuda or "",
    "cxx11_abi": int(torch.compiled_with_cxx11_abi()),
}))
]])
set_property(GLOBAL PROPERTY _WHEELFUSE_ASK_nvcc [[
import glob, json, sysconfig
places = [sysconfig.get_path(name) for name in ("purelib", "platlib")]
found = [path for place in places for path in glob.glob(place + "/nvidia/cu*/bin/nvcc")]
print(json.dumps({"path": max(found, default="")}))
]])

# Enable the language CUDA, with the nvcc of CUDACXX, CUDA_HOME, the nvidia-cuda-nvcc packages of the running
# Python, PATH, or /usr/local/cuda. Sets WHEELFUSE_CUDA_FOUND. A macro, since languages belong to a file's scope.
macro(wheelfuse_enable_cuda)
  _wheelfuse_find_nvcc(WHEELFUSE_CUDA_FOUND ${ARGN})
  if(WHEELFUSE_CUDA_FOUND)
    enable_language(CUDA)
  endif()
endmacro()

# Add the extension module for every interpreter in PYTHONS, each SOABI once; for the running Python if the list
# is empty. Defines the target <name>, which builds all of them, and <name>_MODULES, the list of their targets.
# What knows nothing of Python is compiled once: <name>_kernels (the .cu files of SOURCES) and <name>_common.
function(wheelfuse_add_extension)
  set(lists SOURCES COMMON PYTHONS INCLUDE_DIRECTORIES DEFINITIONS OPTIONS LIBRARIES)
  set(values TARGET MODULE STABLE_ABI DESTINATION OUTPUT_DIRECTORY)
  cmake_parse_arguments(PARSE_ARGV 0 arg "TORCH;CUDA" "${values}" "${lists}")
  _wheelfuse_check_arguments()

  set(bindings ${arg_SOURCES})
  list(FILTER bindings EXCLUDE REGEX "\\.cu$")
  set(kernels ${arg_SOURCES})
  list(FILTER kernels INCLUDE REGEX "\\.cu$")
  if(arg_TORCH)
    _wheelfuse_find_torch()
  endif()

  set(parts)
  if(kernels)
    add_library(${arg_TARGET}_kernels STATIC ${kernels})
    if(CMAKE_CUDA_SEPARABLE_COMPILATION)  # link relocatable device code once, here
      set_target_properties(${arg_TARGET}_kernels PROPERTIES CUDA_RESOLVE_DEVICE_SYMBOLS ON)
    endif()
    _wheelfuse_set_up(${arg_TARGET}_kernels "${kernels}")
    list(APPEND parts "$<LINK_LIBRARY:WHOLE_ARCHIVE,${arg_TARGET}_kernels>")
  endif()
  if(arg_COMMON)
    add_library(${arg_TARGET}_common OBJECT ${arg_COMMON})
    _wheelfuse_set_up(${arg_TARGET}_common "${arg_COMMON}")
    _wheelfuse_use_torch(${arg_TARGET}_common)
    list(APPEND parts ${arg_TARGET}_common)
  endif()

  _wheelfuse_interpreters(pythons)
  set(modules)
  foreach(python IN LISTS pythons)
    _wheelfuse_ask(about "${python}" python)
    _wheelfuse_add_module()
  endforeach()
  add_custom_target(${arg_TARGET} ALL DEPENDS ${modules})
  set(${arg_TARGET}_MODULES ${modules} PARENT_SCOPE)
endfunction()

# The functions below share the variables of wheelfuse_add_extension; macros, where they set some of them.

macro(_wheelfuse_check_arguments)
  set(_problem)
  if(NOT arg_TARGET)
    set(_problem "TARGET is missing")
  elseif(NOT arg_SOURCES)
    set(_problem "${arg_TARGET}: SOURCES is missing")
  elseif(arg_UNPARSED_ARGUMENTS)
    set(_problem "${arg_TARGET}: does not know ${arg_UNPARSED_ARGUMENTS}")
  elseif(arg_STABLE_ABI AND NOT arg_STABLE_ABI MATCHES "^3\\.[0-9]+$")
    set(_problem "${arg_TARGET}: STABLE_ABI takes a version such as 3.10, not ${arg_STABLE_ABI}")
  elseif(NOT arg_CUDA AND "${arg_SOURCES};${arg_COMMON}" MATCHES "\\.cu(;|$)")
    set(_problem "${arg_TARGET}: .cu files need the argument CUDA")
  elseif(arg_CUDA AND NOT CMAKE_CUDA_COMPILER_LOADED)
    set(_problem "${arg_TARGET}: CUDA is not enabled: call wheelfuse_enable_cuda() before")
  endif()
  if(_problem)
    message(FATAL_ERROR "wheelfuse_add_extension: ${_problem}")
  endif()
  if(NOT arg_MODULE)
    set(arg_MODULE ${arg_TARGET})
  endif()
  if(NOT arg_OUTPUT_DIRECTORY)
    set(arg_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}")
  endif()
endmacro()

# The interpreters that are asked, separated by ";" or ":".
function(_wheelfuse_interpreters result)
  set(pythons ${arg_PYTHONS})
  if(NOT DEFINED arg_PYTHONS)
    set(pythons ${WHEELFUSE_EXTENSION_PYTHONS})
  endif()
  string(REPLACE ":" ";" pythons "${pythons}")
  list(REMOVE_ITEM pythons "")
  if(NOT pythons)
    _wheelfuse_running_python(pythons)
  endif()
  set(${result} ${pythons} PARENT_SCOPE)
endfunction()

function(_wheelfuse_running_python result)
  foreach(variable Python_EXECUTABLE Python3_EXECUTABLE PYTHON_EXECUTABLE)
    if(${variable})
      set(${result} "${${variable}}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  find_package(Python COMPONENTS Interpreter REQUIRED)
  set(${result} "${Python_EXECUTABLE}" PARENT_SCOPE)
endfunction()

# What an interpreter says about itself, its torch, or its nvcc, as JSON.
function(_wheelfuse_ask result python topic)
  get_property(script GLOBAL PROPERTY _WHEELFUSE_ASK_${topic})
  execute_process(
    COMMAND "${python}" -I -c "${script}"
    OUTPUT_VARIABLE answer ERROR_VARIABLE errors RESULT_VARIABLE status OUTPUT_STRIP_TRAILING_WHITESPACE TIMEOUT 300)
  if(NOT status STREQUAL 0)
    message(FATAL_ERROR "${python} does not answer when asked about ${topic}: ${status}\n${errors}")
  endif()
  set(${result} "${answer}" PARENT_SCOPE)
endfunction()

# One module, for the interpreter that ${about} is about.
macro(_wheelfuse_add_module)
  foreach(_key version soabi suffix free_threaded include headers)
    string(JSON _${_key} GET "${about}" ${_key})
  endforeach()
  if(NOT _soabi OR NOT _suffix)
    message(FATAL_ERROR "wheelfuse_add_extension: ${python} knows no SOABI and EXT_SUFFIX: is it a CPython?")
  elseif(NOT _headers)
    message(FATAL_ERROR "wheelfuse_add_extension: ${python} has no Python.h in '${_include}': install its headers")
  endif()
  if(arg_STABLE_ABI)
    set(_soabi abi3)
    set(_suffix ".abi3${CMAKE_SHARED_MODULE_SUFFIX}")
  endif()
  set(_module ${arg_TARGET}_${_soabi})
  if(NOT _module IN_LIST modules)
    list(APPEND modules ${_module})
    add_library(${_module} MODULE ${bindings})
    set_target_properties(${_module} PROPERTIES
      PREFIX "" OUTPUT_NAME "${arg_MODULE}" SUFFIX "${_suffix}"
      LIBRARY_OUTPUT_DIRECTORY "${arg_OUTPUT_DIRECTORY}"
      BUILD_WITH_INSTALL_RPATH ON  # what supplies libraries is known when it runs, not here
      CUDA_RESOLVE_DEVICE_SYMBOLS OFF)  # done in the library of the kernels
    _wheelfuse_set_up(${_module} "${bindings}")
    target_include_directories(${_module} BEFORE PRIVATE "${_include}")
    if(arg_STABLE_ABI)
      _wheelfuse_check_stable_abi()
      string(REGEX REPLACE "^3\\." "" _minor "${arg_STABLE_ABI}")
      math(EXPR _hexversion "0x03000000 + (${_minor} << 16)" OUTPUT_FORMAT HEXADECIMAL)
      target_compile_definitions(${_module} PRIVATE Py_LIMITED_API=${_hexversion})
    endif()
    _wheelfuse_use_torch(${_module})
    target_link_libraries(${_module} PRIVATE ${parts} ${arg_LIBRARIES})
    if(DEFINED arg_DESTINATION)
      install(TARGETS ${_module} LIBRARY DESTINATION "${arg_DESTINATION}")
    endif()
  endif()
endmacro()

macro(_wheelfuse_check_stable_abi)
  if(_free_threaded OR _version VERSION_LESS arg_STABLE_ABI)
    message(FATAL_ERROR "wheelfuse_add_extension: ${arg_TARGET}: the headers of ${python} (CPython ${_version}) "
      "are not for STABLE_ABI ${arg_STABLE_ABI}: take a CPython ${arg_STABLE_ABI} or newer, with the GIL")
  endif()
endmacro()

# What all libraries have in common: position-independent code that exports what it says it does, compiled
# through a cache if there is one, to the same bytes wherever the tree lies.
function(_wheelfuse_set_up library sources)
  foreach(language C CXX CUDA)
    if(NOT DEFINED CMAKE_${language}_VISIBILITY_PRESET)
      set_target_properties(${library} PROPERTIES ${language}_VISIBILITY_PRESET hidden)
    endif()
    if(NOT DEFINED CMAKE_${language}_COMPILER_LAUNCHER)
      find_program(WHEELFUSE_COMPILER_CACHE NAMES ccache sccache DOC "A cache for compilers; empty for none")
      if(WHEELFUSE_COMPILER_CACHE)
        set_target_properties(${library} PROPERTIES ${language}_COMPILER_LAUNCHER "${WHEELFUSE_COMPILER_CACHE}")
      endif()
    endif()
  endforeach()
  set_target_properties(${library} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_include_directories(${library} PRIVATE ${arg_INCLUDE_DIRECTORIES})
  target_compile_definitions(${library} PRIVATE ${arg_DEFINITIONS})
  target_compile_options(${library} PRIVATE ${arg_OPTIONS})
  if(arg_CUDA)
    _wheelfuse_use_cuda(${library})
  endif()
  _wheelfuse_map_prefix(${library} "${CMAKE_SOURCE_DIR}=.")
  _wheelfuse_map_prefix(${library} "${CMAKE_BINARY_DIR}=build")
  foreach(source IN LISTS sources)
    _wheelfuse_seed("${source}")
  endforeach()
endfunction()

function(_wheelfuse_use_cuda library)
  foreach(directory IN LISTS CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES)
    target_include_directories(${library} SYSTEM PRIVATE "${directory}" "${directory}/cccl")
  endforeach()
  if(torch_cuda AND NOT DEFINED CMAKE_CUDA_RUNTIME_LIBRARY)  # torch brings it; else each module has its own
    set_target_properties(${library} PROPERTIES CUDA_RUNTIME_LIBRARY None)
    foreach(directory IN LISTS CMAKE_CUDA_IMPLICIT_LINK_DIRECTORIES)
      file(GLOB found "${directory}/libcudart.so*")  # the packages of the index have libcudart.so.13 alone
      if(found)
        list(GET found 0 cudart)
        target_link_libraries(${library} PRIVATE "${cudart}")
        break()
      endif()
    endforeach()
  endif()
endfunction()

# Keep out of the library where things lie. Of several prefixes that match, the last one counts.
function(_wheelfuse_map_prefix library map)
  target_compile_options(${library} PRIVATE
    "$<$<COMPILE_LANGUAGE:C,CXX>:-ffile-prefix-map=${map}>"
    "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-ffile-prefix-map=${map}>")
endfunction()

# Names that must be unique, made from the path of the source file instead of at random.
function(_wheelfuse_seed source)
  cmake_path(ABSOLUTE_PATH source OUTPUT_VARIABLE seed)
  cmake_path(RELATIVE_PATH seed BASE_DIRECTORY "${CMAKE_SOURCE_DIR}")
  set(option "-frandom-seed=${seed}")
  if(source MATCHES "\\.cu$")
    set(option "-Xcompiler=${option}")
  endif()
  get_source_file_property(options "${source}" COMPILE_OPTIONS)
  if(NOT option IN_LIST options)
    set_property(SOURCE "${source}" APPEND PROPERTY COMPILE_OPTIONS "${option}")
  endif()
endfunction()

function(_wheelfuse_find_nvcc result)
  cmake_parse_arguments(PARSE_ARGV 1 arg "OPTIONAL" "" "")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "wheelfuse_enable_cuda does not know ${arg_UNPARSED_ARGUMENTS}")
  endif()
  set(${result} TRUE PARENT_SCOPE)
  if(CMAKE_CUDA_COMPILER OR NOT "$ENV{CUDACXX}" STREQUAL "")
    if(CMAKE_CUDA_COMPILER)
      _wheelfuse_add_libraries("${CMAKE_CUDA_COMPILER}")
    else()
      _wheelfuse_add_libraries("$ENV{CUDACXX}")
    endif()
    return()  # CMake itself complains if it is none
  endif()
  foreach(variable CUDA_HOME CUDA_PATH)
    if(NOT "$ENV{${variable}}" STREQUAL "")
      set(places "$ENV{${variable}}/bin")
      set(searched "in ${variable}, which is $ENV{${variable}}")
      break()
    endif()
  endforeach()
  if(NOT places)
    _wheelfuse_running_python(python)
    _wheelfuse_ask(about "${python}" nvcc)
    string(JSON packaged GET "${about}" path)
    cmake_path(GET packaged PARENT_PATH places)
    string(REPLACE ":" ";" path "$ENV{PATH}")
    list(APPEND places ${path} /usr/local/cuda/bin)
    set(searched "in the environment of ${python}, on PATH, or in /usr/local/cuda")
  endif()
  find_program(WHEELFUSE_NVCC nvcc PATHS ${places} NO_DEFAULT_PATH DOC "The CUDA compiler")
  if(WHEELFUSE_NVCC)
    set(CMAKE_CUDA_COMPILER "${WHEELFUSE_NVCC}" CACHE FILEPATH "The CUDA compiler")
    _wheelfuse_add_libraries("${WHEELFUSE_NVCC}")
  elseif(arg_OPTIONAL)
    message(STATUS "Without CUDA: there is no nvcc ${searched}")
    set(${result} FALSE PARENT_SCOPE)
  else()
    message(FATAL_ERROR "wheelfuse_enable_cuda: there is no nvcc ${searched}: set CUDA_HOME to the directory of CUDA, "
      "or install nvcc and its headers for the running Python: pip install 'wheelfuse[cuda]'")
  endif()
endfunction()

# nvcc looks for libraries in lib64 alone, but the packages of the index have them in lib. `nvcc` may be a script that
# calls it, so it is asked where it is.
function(_wheelfuse_add_libraries nvcc)
  if(DEFINED CACHE{CMAKE_CUDA_FLAGS})
    return()  # CMake reads CUDAFLAGS when it configures for the first time
  endif()
  execute_process(
    COMMAND "${nvcc}" --dryrun -x cu /dev/null -o /dev/null
    OUTPUT_VARIABLE said ERROR_VARIABLE said RESULT_VARIABLE status)
  if(said MATCHES "#\\$ TOP=([^\n]+)")
    cmake_path(SET home NORMALIZE "${CMAKE_MATCH_1}")
    if(NOT EXISTS "${home}/lib64" AND EXISTS "${home}/lib/libcudart_static.a")
      set(ENV{CUDAFLAGS} "$ENV{CUDAFLAGS} -L${home}/lib")
    endif()
  endif()
endfunction()

# Where torch lies. It is not looked for with find_package: its configuration asks for the whole CUDA toolkit it was
# built with, and a torch for CPUs has none, although its headers serve to compile for CUDA.
macro(_wheelfuse_find_torch)
  if(NOT WHEELFUSE_TORCH_PYTHON AND NOT "$ENV{WHEELFUSE_TORCH_LIB}" STREQUAL "")  # `wheelfuse build` has asked
    set(torch_directory "$ENV{WHEELFUSE_TORCH_LIB}")
    cmake_path(GET torch_directory PARENT_PATH torch_directory)
    set(torch_cuda "$ENV{WHEELFUSE_TORCH_CUDA}")
    set(torch_cxx11_abi "$ENV{WHEELFUSE_TORCH_CXX11_ABI}")
  else()
    set(_driver "${WHEELFUSE_TORCH_PYTHON}")
    if(NOT _driver)
      set(_driver "$ENV{WHEELFUSE_TORCH_PYTHON}")
    endif()
    if(NOT _driver)
      _wheelfuse_running_python(_driver)
    endif()
    if(NOT _WHEELFUSE_TORCH_OF STREQUAL _driver)  # importing torch takes seconds
      _wheelfuse_ask(_answer "${_driver}" torch)
      set(_WHEELFUSE_TORCH "${_answer}" CACHE INTERNAL "")
      set(_WHEELFUSE_TORCH_OF "${_driver}" CACHE INTERNAL "")
    endif()
    string(JSON torch_directory GET "${_WHEELFUSE_TORCH}" directory)
    string(JSON torch_cuda GET "${_WHEELFUSE_TORCH}" cuda)
    string(JSON torch_cxx11_abi GET "${_WHEELFUSE_TORCH}" cxx11_abi)
  endif()
endmacro()

function(_wheelfuse_use_torch library)
  if(NOT arg_TORCH)
    return()
  endif()
  target_compile_features(${library} PRIVATE cxx_std_20)
  if(arg_CUDA)
    target_compile_features(${library} PRIVATE cuda_std_20)
  endif()
  target_include_directories(${library} SYSTEM PRIVATE
    "${torch_directory}/include" "${torch_directory}/include/torch/csrc/api/include")
  target_compile_definitions(${library} PRIVATE
    TORCH_EXTENSION_NAME=${arg_MODULE} TORCH_API_INCLUDE_EXTENSION_H _GLIBCXX_USE_CXX11_ABI=${torch_cxx11_abi})
  _wheelfuse_map_prefix(${library} "${torch_directory}=torch")
  set(libraries torch torch_cpu c10)
  if(NOT arg_STABLE_ABI)
    list(APPEND libraries torch_python)
  endif()
  if(arg_CUDA AND torch_cuda)
    list(APPEND libraries torch_cuda c10_cuda)
  endif()
  list(TRANSFORM libraries REPLACE "(.+)" "${torch_directory}/lib/lib\\1${CMAKE_SHARED_LIBRARY_SUFFIX}")
  target_link_options(${library} PRIVATE LINKER:--as-needed)
  # libtorch.so defines nothing, but leads to libtorch_cuda.so where there is one, and so weak references there.
  list(POP_FRONT libraries leading)
  target_link_libraries(${library} PRIVATE
    -Wl,--push-state,--no-as-needed "${leading}" -Wl,--pop-state ${libraries})
endfunction()
