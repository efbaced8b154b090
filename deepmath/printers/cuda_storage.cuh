// Numbers of 16 bits that kernels store and compute with as float: bfloat16, and IEEE's half. Conversions round to
// the nearest, ties to even; NaN stays NaN.
DEVICE unsigned bits_of(float x) {
#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
  return __float_as_uint(x);
#else
  unsigned bits;
  __builtin_memcpy(&bits, &x, 4);
  return bits;
#endif
}
DEVICE float float_of(unsigned bits) {
#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
  return __uint_as_float(bits);
#else
  float x;
  __builtin_memcpy(&x, &bits, 4);
  return x;
#endif
}

struct BFloat {
  unsigned short bits;
  BFloat() = default;
  DEVICE BFloat(float x) {
    unsigned b = bits_of(x);
    bits = is_nan(x) ? 0x7fc0 : (unsigned short)((b + 0x7fff + ((b >> 16) & 1)) >> 16);
  }
  DEVICE operator float() const { return float_of((unsigned)bits << 16); }
};

struct Half {
  unsigned short bits;
  Half() = default;
  DEVICE Half(float x) {
    unsigned b = bits_of(x), sign = (b >> 16) & 0x8000, size = b & 0x7fffffff;
    if (is_nan(x)) {
      bits = 0x7e00;
    } else if (size >= 0x477ff000) {  // 65520 and more are infinity
      bits = (unsigned short)(sign | 0x7c00);
    } else if (size >= 0x38800000) {
      bits = (unsigned short)(sign | ((size - 0x38000000 + 0xfff + ((size >> 13) & 1)) >> 13));
    } else {  // in units of 2^-24; adding 1/2 * 2^24 ulps rounds as the hardware does
      bits = (unsigned short)(sign | (bits_of(float_of(size) + 0.5f) - 0x3f000000));
    }
  }
  DEVICE operator float() const {
    unsigned sign = (unsigned)(bits & 0x8000) << 16, exponent = (bits >> 10) & 31, rest = bits & 0x3ff;
    if (exponent == 31) return float_of(sign | 0x7f800000 | (rest << 13));
    if (exponent == 0) return float_of(sign | bits_of((float)rest * 5.960464477539063e-08f));
    return float_of(sign | ((exponent + 112) << 23) | (rest << 13));
  }
};
