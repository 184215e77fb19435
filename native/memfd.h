// Memory behind a descriptor, mapped by each thread for itself.
#ifndef TUNGATE_MEMFD_H
#define TUNGATE_MEMFD_H

#include <cstddef>
#include <cstdint>
#include <memory>

namespace tungate {

// The largest memory that a script can ask for.
constexpr size_t kMemoryOctetsMax = size_t{1} << 34;

class Mapping {
 public:
  Mapping(uint8_t* data, size_t size) : data_(data), size_(size) {}
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping();

  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  uint8_t* data_;
  size_t size_;
};

// A zeroed memfd of fixed size; a descriptor or -errno.
int CreateMemory(const char* name, size_t octets);

// Maps the whole of it. Refuses with -EINVAL what could shrink under the mapping. 0 or -errno.
int MapMemory(int fd, std::shared_ptr<Mapping>* mapping);

}  // namespace tungate

#endif
