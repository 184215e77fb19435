// Implements the engine: checks lengths, takes sequence numbers, and leaves nothing of a packet that is not authentic.
#include "esp_engine.h"

#include <openssl/crypto.h>
#include <openssl/err.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "addon_sources.h"
#include "state.h"
#include "vaes_gcm.h"

namespace tungate {

namespace {

// Octet of the sequence number in AH (RFC 4302 section 2).
constexpr size_t kAhSequence = 8;

// Takes the next numbers of the slot, at most `wanted` and as many as are left: how many, and which is the first. No
// interleaving of threads gives one number twice or steps over the limit [ESP-02] [ESP-03].
uint32_t TakeSequences(uint8_t* slot, bool esn, uint32_t wanted, uint64_t* first) {
  using namespace sa_table;
  std::atomic_ref<uint64_t> counter(*reinterpret_cast<uint64_t*>(slot + kSlotSequence));
  uint64_t limit = std::atomic_ref<uint64_t>(*reinterpret_cast<uint64_t*>(slot + kSlotSequenceLimit))
                       .load(std::memory_order_relaxed);
  if (!esn && limit > UINT32_MAX) limit = UINT32_MAX;
  uint64_t last = counter.load(std::memory_order_relaxed);
  uint64_t count;
  do {
    if (last >= limit) return 0;
    count = std::min<uint64_t>(wanted, limit - last);
  } while (!counter.compare_exchange_weak(last, last + count, std::memory_order_acq_rel));
  *first = last + 1;
  return static_cast<uint32_t>(count);
}

size_t RoundUp(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// Pad length and next header.
constexpr size_t kEspTrailer = 2;

}  // namespace

bool EspEngine::Attach(std::shared_ptr<Mapping> table, std::shared_ptr<KeyStore> keys) {
  memory_ = std::move(table);
  keys_ = std::move(keys);
  if (!table_.Attach(memory_->data(), memory_->size()) || table_.slot_count() > keys_->slot_count()) return false;
  contexts_.resize(table_.slot_count());
  return true;
}

EspContext* EspEngine::ContextFor(uint32_t slot, uint32_t direction) {
  if (slot >= contexts_.size()) return nullptr;
  std::unique_ptr<EspContext>& context = contexts_[slot];
  if (context == nullptr || context->version() != keys_->Version(slot)) {
    SlotKeys keys;
    uint32_t version = 0;
    if (many_.context == context.get()) Flush();
    context.reset();
    if (!keys_->Read(slot, &keys, &version)) return nullptr;
    context = EspContext::Make(keys, version, lane_);
    keys.Wipe();
  }
  // Sealing with the peer's key would repeat its nonces.
  return context != nullptr && context->direction() == direction ? context.get() : nullptr;
}

// What a frame tells the engine, and how large its packets become.
struct EspEngine::FrameSeal {
  Segmenter segmenter;
  EspContext* context;
  uint8_t* sa;
  size_t strip;
  size_t pad_to;
  uint8_t next_header;

  size_t front() const { return kEspHeader + context->iv_length(); }
  // Octets of packet `k` behind what is not carried, with TFC padding.
  size_t payload(uint32_t k) const { return std::max(segmenter.LengthOf(k) - strip, pad_to); }
  // Octets that the cipher sees [ESP-09].
  size_t plaintext(uint32_t k) const { return RoundUp(payload(k) + kEspTrailer, context->block_size()); }
  size_t sealed(uint32_t k) const { return front() + plaintext(k) + context->icv_length(); }
};

// The status of a frame that cannot be sealed, or kPacketOk.
uint8_t EspEngine::BeginFrame(const Batch& frames, uint32_t i, uint32_t first, FrameSeal* seal) {
  Packet frame;
  const FrameColumns& columns = frames.frames;
  seal->context = ContextFor(frames.slot[i], sa_table::kDirectionOutbound);
  if (seal->context == nullptr || seal->context->mac_iv_length() != 0) return kPacketNoKey;
  seal->sa = table_.slot(frames.slot[i]);
  seal->strip = columns.strip[i];
  seal->pad_to = columns.pad_to[i];
  seal->next_header = columns.next_header[i];
  const Segmenter& segmenter = seal->segmenter;
  if (!frames.Find(i, &frame) || frame.length <= seal->strip || frame.length > kFrameOctetsMax ||
      !seal->segmenter.Begin(columns.kind[i], columns.segment_length[i], frame.data, frame.length) ||
      segmenter.count() != columns.segments[i] || first >= segmenter.count() || segmenter.count() > kFrameSegmentsMax ||
      (columns.kind[i] != kFramePlain && seal->strip > segmenter.ip_header()))
    return kPacketBadLength;
  return kPacketOk;
}

// Makes packet `k` of a frame at `esp`, in clear.
EspWork EspEngine::WritePacket(const FrameSeal& seal, uint32_t k, uint64_t sequence, uint8_t* esp) {
  const uint32_t spi = __builtin_bswap32(SaTableView::Load32(seal.sa + sa_table::kSlotSpi));
  const uint32_t sequence_low = __builtin_bswap32(static_cast<uint32_t>(sequence));
  memcpy(esp, &spi, 4);
  memcpy(esp + 4, &sequence_low, 4);
  uint8_t* data = esp + seal.front();
  const size_t carried = seal.segmenter.LengthOf(k) - seal.strip;
  const size_t payload = seal.payload(k);
  const size_t length = seal.plaintext(k);
  seal.segmenter.Cut(k, seal.strip, data);
  memset(data + carried, 0, payload - carried);
  // [ESP-08]
  const size_t padding = length - payload - kEspTrailer;
  for (size_t octet = 0; octet < padding; octet++) data[payload + octet] = static_cast<uint8_t>(octet + 1);
  data[length - 2] = static_cast<uint8_t>(padding);
  data[length - 1] = seal.next_header;
  return {esp, length, sequence, false};
}

// Keeps a packet until many of its SA are there: packet `i` of `batch`, sealed from `frame` of `frames` or opened.
void EspEngine::Collect(EspContext* context, const EspWork& work, Batch& batch, uint32_t i, Batch* frames,
                        uint32_t frame) {
  if (many_.context != context || many_.count == EspManyCipher::kMax) Flush();
  many_.context = context;
  many_.batch = &batch;
  many_.frames = frames;
  many_.work[many_.count] = work;
  many_.place[many_.count] = i;
  many_.frame[many_.count++] = frame;
}

void EspEngine::Flush() {
  const size_t count = many_.count;
  EspContext* context = many_.context;
  many_.count = 0;
  many_.context = nullptr;
  if (count == 0) return;
  if (many_.frames == nullptr) {
    context->OpenMany(many_.work, count);
    for (size_t k = 0; k < count; k++) FinishOpen(*many_.batch, many_.place[k], *context, many_.work[k]);
    return;
  }
  context->SealMany(many_.work, count);
  for (size_t k = 0; k < count; k++) {
    const EspWork& work = many_.work[k];
    if (work.is_done) continue;
    // Nothing of the plaintext is left, and nothing of it is sent.
    OPENSSL_cleanse(work.esp, kEspHeader + context->iv_length() + work.length);
    many_.batch->status[many_.place[k]] = kPacketNoKey;
    many_.frames->status[many_.frame[k]] = kPacketNoKey;
  }
}

// Seals packets of frame `i` from `first` on; returns the next one, or a number past the last when the frame is done with.
uint32_t EspEngine::SealFrame(Batch& frames, uint32_t i, uint32_t first, Batch& packets, Output* output) {
  FrameSeal seal;
  frames.status[i] = BeginFrame(frames, i, first, &seal);
  if (frames.status[i] != kPacketOk) return kFrameDone;
  const uint32_t wanted = seal.segmenter.count() - first;
  const size_t room = std::min<size_t>(packets.capacity - output->count, (packets.octets - output->at) / seal.sealed(0));
  const uint32_t fitting = static_cast<uint32_t>(std::min<size_t>(wanted, room));
  if (fitting < wanted && output->count > 0) return first;
  if (fitting == 0) {
    frames.status[i] = kPacketBadLength;
    return kFrameDone;
  }
  uint64_t sequence = 0;
  const uint32_t taken = TakeSequences(seal.sa, seal.context->esn(), fitting, &sequence);
  // A slot given to another SA in between counts for that one's key.
  if (keys_->Version(frames.slot[i]) != seal.context->version()) {
    frames.status[i] = kPacketNoKey;
    return kFrameDone;
  }
  for (uint32_t k = first; k < first + taken; k++, sequence++) {
    const EspWork work = WritePacket(seal, k, sequence, packets.bytes + output->at);
    const size_t octets = seal.sealed(k);
    if (seal.context->takes_many()) {
      Collect(seal.context, work, packets, output->count, &frames, i);
    } else if (!seal.context->Seal(work.esp, work.length, sequence)) {
      OPENSSL_cleanse(work.esp + seal.front(), work.length);
      frames.status[i] = kPacketNoKey;
      return kFrameDone;
    }
    const uint32_t place = output->count++;
    packets.offset[place] = static_cast<uint32_t>(output->at);
    packets.length[place] = static_cast<uint32_t>(octets);
    packets.frame[place] = i;
    packets.endpoint[place] = frames.endpoint[i];
    packets.tos[place] = frames.tos[i];
    packets.status[place] = kPacketOk;
    output->at += octets;
    frames.frames.sealed[i]++;
  }
  if (taken == fitting) return fitting == wanted ? kFrameDone : first + fitting;
  frames.status[i] = kPacketSequenceExhausted;
  return kFrameDone;
}

void EspEngine::OpenOne(Batch& batch, uint32_t i) {
  Packet packet;
  EspContext* context = ContextFor(batch.slot[i], sa_table::kDirectionInbound);
  batch.status[i] = context == nullptr ? kPacketNoKey : kPacketBadLength;
  if (context == nullptr || !batch.Find(i, &packet)) return;
  const size_t around = kEspHeader + context->iv_length() + context->icv_length();
  // Pad length and next header are the least that a packet holds.
  if (packet.length < around + 2 || (packet.length - around) % context->cipher_block_size() != 0) return;
  EspWork work = {packet.data, packet.length - around, uint64_t{batch.sequence_high[i]} << 32, false};
  if (context->takes_many()) return Collect(context, work, batch, i, nullptr, 0);
  work.is_done = context->Open(work.esp, work.length, work.sequence_high());
  FinishOpen(batch, i, *context, work);
}

void EspEngine::FinishOpen(Batch& batch, uint32_t i, const EspContext& context, const EspWork& work) {
  const size_t front = kEspHeader + context.iv_length();
  batch.status[i] = work.is_done ? kPacketOk : kPacketNotAuthentic;
  if (!work.is_done) {
    OPENSSL_cleanse(work.esp, front + work.length + context.icv_length());
    return;
  }
  batch.offset[i] += static_cast<uint32_t>(front);
  batch.length[i] = static_cast<uint32_t>(work.length);
}

uint32_t EspEngine::Seal(Batch& frames, uint32_t count, Batch& packets) {
  Output output;
  uint32_t* cursor = frames.frames.cursor;
  while (cursor[0] < count) {
    const uint32_t i = cursor[0];
    if (cursor[1] == 0) frames.frames.sealed[i] = 0;
    const uint32_t next = SealFrame(frames, i, cursor[1], packets, &output);
    if (next != kFrameDone) {
      cursor[1] = next;
      break;
    }
    cursor[0]++;
    cursor[1] = 0;
  }
  Flush();
  return output.count;
}

void EspEngine::Open(Batch& batch, uint32_t count) {
  bool has_failed = false;
  for (uint32_t i = 0; i < count; i++) OpenOne(batch, i);
  Flush();
  for (uint32_t i = 0; i < count; i++) has_failed |= batch.status[i] == kPacketNotAuthentic;
  // Node's own cryptography in this thread must not find what OpenSSL noted about a stranger's packet.
  if (has_failed) ERR_clear_error();
}

// The ICV goes behind the packet: a cipher that changes nothing computes it over whatever it is given.
uint8_t EspEngine::AuthenticateOne(Batch& batch, uint32_t i) {
  Packet packet;
  EspContext* context = ContextFor(batch.slot[i], sa_table::kDirectionOutbound);
  if (context == nullptr || !context->only_authenticates()) return kPacketNoKey;
  const size_t number = size_t{batch.frame[i]} + kAhSequence;
  const size_t iv_length = context->mac_iv_length();
  if (!batch.Find(i, &packet) || packet.length <= kEspHeader || number + 4 + iv_length > packet.length ||
      size_t{batch.offset[i]} + packet.length + context->icv_length() > batch.octets)
    return kPacketBadLength;
  uint64_t sequence = 0;
  if (TakeSequences(table_.slot(batch.slot[i]), context->esn(), 1, &sequence) == 0) return kPacketSequenceExhausted;
  if (keys_->Version(batch.slot[i]) != context->version()) return kPacketNoKey;
  const uint32_t sequence_low = __builtin_bswap32(static_cast<uint32_t>(sequence));
  memcpy(packet.data + number, &sequence_low, 4);
  // GMAC's IV is part of AH and counts as it is; the cipher makes the same one.
  if (iv_length != 0) WriteBig64(packet.data + number + 4, sequence);
  return context->Seal(packet.data, packet.length - kEspHeader, sequence) ? kPacketOk : kPacketNoKey;
}

void EspEngine::Authenticate(Batch& batch, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) batch.status[i] = AuthenticateOne(batch, i);
}

uint32_t EspEngine::ReleaseStale() {
  uint32_t released = 0;
  for (uint32_t slot = 0; slot < contexts_.size(); slot++) {
    if (contexts_[slot] == nullptr || contexts_[slot]->version() == keys_->Version(slot)) continue;
    contexts_[slot].reset();
    released++;
  }
  return released;
}

namespace {

napi_value CreateEngine(napi_env env, napi_callback_info info) {
  Args args(env, info, 2);
  State& state = State::Of(env);
  Find(args, state.memories, 0);
  Find(args, state.key_stores, 1);
  if (!args.ok()) return nullptr;
  auto engine = std::make_shared<EspEngine>(state.provider, state.uses_vaes);
  if (!engine->Attach(state.memories.Share(args.Uint32(0)), state.key_stores.Share(args.Uint32(1))))
    return Number(env, -EINVAL);
  return Number(env, state.engines.Add(std::move(engine)));
}

// Engines that are made from now on use our own code for VAES if told to, then the provider, then OpenSSL.
napi_value UseProvider(napi_env env, napi_callback_info info) {
  Args args(env, info, 2);
  const bool uses_vaes = args.Bool(1);
  if (!args.ok()) return nullptr;
  State& state = State::Of(env);
  napi_valuetype type = napi_undefined;
  void* provider = nullptr;
  napi_typeof(env, args.value(0), &type);
  if (type == napi_undefined) {
    state.provider = nullptr;
    state.uses_vaes = uses_vaes;
    return Number(env, 0);
  }
  if (type != napi_external || napi_get_value_external(env, args.value(0), &provider) != napi_ok) {
    args.TypeError("a provider is an external value");
    return nullptr;
  }
  if (static_cast<const EspProvider*>(provider)->sources != TUNGATE_ADDON_SOURCES) return Number(env, -EINVAL);
  state.provider = static_cast<const EspProvider*>(provider);
  state.uses_vaes = uses_vaes;
  return Number(env, 0);
}

napi_value HasVaes(napi_env env, napi_callback_info) {
  napi_value has = nullptr;
  napi_get_boolean(env, VaesGcm::IsSupported(), &has);
  return has;
}

napi_value CloseEngine(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  const uint32_t handle = args.Uint32(0);
  if (args.ok()) State::Of(env).engines.Remove(handle);
  return nullptr;
}

napi_value SealFrames(napi_env env, napi_callback_info info) {
  Args args(env, info, 4);
  EspEngine* engine = Find(args, State::Of(env).engines, 0);
  Batch* frames = FindFrames(args, 1);
  const uint32_t count = BatchCount(args, frames, 2);
  Batch* packets = FindBatch(args, 3);
  if (args.ok() && packets == frames) args.RangeError("packets are sealed into another batch");
  if (!args.ok()) return nullptr;
  return Number(env, engine->Seal(*frames, count, *packets));
}

napi_value OpenPackets(napi_env env, napi_callback_info info) {
  Args args(env, info, 3);
  EspEngine* engine = Find(args, State::Of(env).engines, 0);
  Batch* batch = FindBatch(args, 1);
  const uint32_t count = BatchCount(args, batch, 2);
  if (args.ok()) engine->Open(*batch, count);
  return nullptr;
}

napi_value AuthenticatePackets(napi_env env, napi_callback_info info) {
  Args args(env, info, 3);
  EspEngine* engine = Find(args, State::Of(env).engines, 0);
  Batch* batch = FindBatch(args, 1);
  const uint32_t count = BatchCount(args, batch, 2);
  if (args.ok()) engine->Authenticate(*batch, count);
  return nullptr;
}

napi_value ReleaseStaleContexts(napi_env env, napi_callback_info info) {
  Args args(env, info, 1);
  EspEngine* engine = Find(args, State::Of(env).engines, 0);
  if (!args.ok()) return nullptr;
  return Number(env, engine->ReleaseStale());
}

}  // namespace

void DefineEspEngine(napi_env env, napi_value exports) {
  Define(env, exports, "useProvider", UseProvider);
  Define(env, exports, "hasVaes", HasVaes);
  Define(env, exports, "createEngine", CreateEngine);
  Define(env, exports, "closeEngine", CloseEngine);
  Define(env, exports, "seal", SealFrames);
  Define(env, exports, "open", OpenPackets);
  Define(env, exports, "authenticate", AuthenticatePackets);
  Define(env, exports, "releaseStaleContexts", ReleaseStaleContexts);
}

}  // namespace tungate
