// Number formats on the CPU, bit for bit as a GPU has them.
#pragma once

#include <cstdint>
#include <cstring>

namespace wheelfuse_reference {

inline uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float float_of(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline float from_bfloat16(uint16_t bits) { return float_of(static_cast<uint32_t>(bits) << 16); }

inline float from_float16(uint16_t bits) {
  const uint32_t sign = (bits & 0x8000u) << 16;
  const uint32_t magnitude = bits & 0x7fffu;
  if (magnitude >= 0x7c00u) return float_of(sign | 0x7f800000u | magnitude << 13);  // infinity, NaN
  // The exponents of float16 are 112 less than those of float32; a product brings subnormal numbers along.
  return float_of(sign | bits_of(float_of(magnitude << 13) * 0x1p112f));
}

// e4m3 has 4 exponent bits with the bias 7, 3 fraction bits, no infinity, and one magnitude that is NaN: 0x7f.
// To nearest, ties to even; what is too great becomes 448, the greatest number.
inline uint8_t to_e4m3(float value) {
  const uint32_t bits = bits_of(value);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return 0x7f;
  const uint8_t sign = bits >> 24 & 0x80;
  if (magnitude >= bits_of(448.0f)) return sign | 0x7e;
  if (magnitude < bits_of(0x1p-6f)) {
    // Subnormal: multiples of 2^-9. Added to 2^14, whose last bit is 2^-9, it is rounded to one.
    return sign | static_cast<uint8_t>(bits_of(float_of(magnitude) + 0x1p14f) - bits_of(0x1p14f));
  }
  const uint32_t odd = magnitude >> 20 & 1;
  const uint32_t rounded = magnitude + 0x7ffffu + odd;  // carries into the exponent where it must
  return sign | static_cast<uint8_t>((rounded >> 20) - (120u << 3));
}

}  // namespace wheelfuse_reference
