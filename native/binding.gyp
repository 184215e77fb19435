{
  "target_defaults": {
    "defines": ["NAPI_VERSION=9", "_GNU_SOURCE"],
    "cflags_cc!": ["-fexceptions", "-std=gnu++17", "-frtti"],
    "cflags_cc": [
      "-std=gnu++20",
      "-fno-exceptions",
      "-fno-rtti",
      "-Wall",
      "-Wextra",
      "-Werror",
      "-Wno-missing-field-initializers",
      "-fvisibility=hidden",
      "-fstack-protector-strong"
    ],
    "ldflags": ["-Wl,-z,relro,-z,now"],
    "configurations": {
      "Release": { "cflags_cc": ["-O2", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"] },
      "Debug": {
        "cflags_cc": [
          "-O1",
          "-g",
          "-fno-omit-frame-pointer",
          "-fsanitize=address,undefined",
          "-fno-sanitize-recover=undefined",
          "-fno-sanitize=vptr"
        ],
        "ldflags": ["-fsanitize=address,undefined"]
      }
    }
  },
  "targets": [
    {
      "target_name": "addon_sources",
      "type": "none",
      "hard_dependency": 1,
      "actions": [
        {
          "action_name": "addon_sources",
          "inputs": [
            "../scripts/addon-sources.ts",
            "../src/io/addon-sources.ts",
            "<!@(LC_ALL=C ls *.cc *.h ipsec_mb/*.cc ipsec_mb/*.h)"
          ],
          "outputs": ["<(SHARED_INTERMEDIATE_DIR)/addon_sources.h"],
          "action": ["node", "--import", "tsx", "../scripts/addon-sources.ts", "<@(_outputs)"],
          "message": "Naming the sources"
        }
      ],
      "direct_dependent_settings": { "include_dirs": ["<(SHARED_INTERMEDIATE_DIR)"] }
    },
    {
      "target_name": "tungate",
      "dependencies": ["addon_sources"],
      "sources": [
        "addon.cc",
        "aes_mac.cc",
        "batch.cc",
        "checksum.cc",
        "error_queue.cc",
        "esp_context.cc",
        "esp_engine.cc",
        "esp_openssl.cc",
        "esp_transform.cc",
        "esp_vaes.cc",
        "key_store.cc",
        "memfd.cc",
        "ml_kem.cc",
        "ml_kem_calls.cc",
        "montgomery.cc",
        "napi_args.cc",
        "netlink.cc",
        "packet_io.cc",
        "packet_io_receive.cc",
        "packet_io_send.cc",
        "primitives.cc",
        "process.cc",
        "raw.cc",
        "readiness.cc",
        "sd_notify.cc",
        "socket_options.cc",
        "steering.cc",
        "tun.cc",
        "tun_coalesce.cc",
        "tun_io.cc",
        "tun_segment.cc",
        "udp.cc",
        "vaes_gcm.cc",
        "wait.cc"
      ]
    }
  ],
  "variables": {
    "has_ipsec_mb": "<!(printf '#include <intel-ipsec-mb.h>' | ${CXX:-g++} -x c++ -fsyntax-only - >/dev/null 2>&1 && echo yes || echo no)"
  },
  "conditions": [
    [
      "has_ipsec_mb == 'yes'",
      {
        "targets": [
          {
            "target_name": "tungate_ipsec_mb",
            "dependencies": ["addon_sources"],
            "sources": [
              "esp_transform.cc",
              "ipsec_mb/addon.cc",
              "ipsec_mb/direct_cipher.cc",
              "ipsec_mb/job_cipher.cc"
            ],
            "libraries": ["-lIPSec_MB"]
          }
        ]
      }
    ]
  ]
}
