// Tells JavaScript, on Node's event loop, that a descriptor can be read or has an error to read.
#ifndef TUNGATE_READINESS_H
#define TUNGATE_READINESS_H

#include <node_api.h>

namespace tungate {

class Readiness {
 public:
  ~Readiness();
  Readiness() = default;
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;

  // `callback` is called once for each Arm. 0 or -errno.
  int Open(napi_env env, int fd, napi_value callback);
  int Arm();

 private:
  struct Watched;
  Watched* watched_ = nullptr;
};

}  // namespace tungate

#endif
