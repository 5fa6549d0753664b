# SPDX-License-Identifier: Apache-2.0
# Sources that LODESTONE_UNITY leaves alone: their local names are also those of
# a neighbour, or must be.

# compiled_alone(FOLDER SOURCES...): FOLDER has the target; SOURCES lie beneath.
function(compiled_alone folder)
  list(TRANSFORM ARGN PREPEND "${PROJECT_SOURCE_DIR}/${folder}/")
  foreach(source ${ARGN})
    if(NOT EXISTS ${source})
      message(FATAL_ERROR "compiled_alone.cmake: there is no ${source}")
    endif()
  endforeach()
  set_source_files_properties(${ARGN}
    DIRECTORY ${PROJECT_SOURCE_DIR}/${folder}
    PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

compiled_alone(verify
  checkpoint/safetensors_reader.cc
  checkpoint/tokenizer_json.cc
  checkpoint/tokenizer_tekken.cc
  checkpoint/vocabulary_builder.cc
  checkpoint/vocabulary_gguf.cc
  container/zstd_seekable.cc
  manifest/minisign_secret.cc
  manifest/oms_signature.cc
  manifest/oms_statement.cc
  manifest/trust_store.cc
  structure/family_hugging_face.cc
  structure/gguf_fields.cc
  structure/side_files.cc
  structure/structure_check.cc
  structure/table_hugging_face.cc)
compiled_alone(p2p
  endpoint_policy.cc
  metainfo_info.cc
  payload_walk.cc
  seeder.cc)
compiled_alone(inference
  text/bpe_merger.cc
  text/bpe_pairs.cc
  text/sentencepiece_encoder.cc)
compiled_alone(cli
  commands/seed.cc
  flows/manifest_check.cc
  flows/sign_manifest.cc
  flows/signatures.cc
  subprocess.cc
  web/tracker_server.cc)
compiled_alone(tests/inference/ops matmul_test.cc)
compiled_alone(tests/inference/quant
  encode_blocks_test.cc
  quantize_test.cc)
compiled_alone(tests/inference/text literal_matcher_test.cc tokenizer_test.cc)
compiled_alone(tests/p2p
  crash_test.cc
  download_test.cc
  magnet_test.cc
  metainfo_test.cc
  piece_check_test.cc
  seed_test.cc
  seeder_test.cc
  selective_download_test.cc)
compiled_alone(tests/verify/checkpoint
  pickle_reader_test.cc
  safetensors_reader_test.cc
  torch_reader_test.cc)
compiled_alone(tests/verify/digest hash_engine_v2_test.cc)
compiled_alone(tests/verify/manifest
  minisign_test.cc
  oms_signature_test.cc
  published_sums_test.cc)
compiled_alone(tests/verify/structure families_test.cc gguf_config_test.cc)
