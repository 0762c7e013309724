# Several test sources in one compilation, which reads the headers of others once for all of them: g++ takes half the time.
# A change of one of them compiles all of them, so it is for trees that are compiled once: scripts/test.sh asks for it where it
# finds no tree. The product's objects are the same with and without it.
option(LINEGATE_UNITY "Compile the sources of tests several at a time" OFF)

# linegate_unity(TARGET SOURCE...), in the folder of the sources: the *_test.cpp among them, up to six at a time. Names that two of
# them have in their unnamed namespaces clash: then one is in a namespace of its file, like wg::test::route_test.
function(linegate_unity target)
  if(NOT LINEGATE_UNITY)
    return()
  endif()
  set(cases ${ARGN})
  list(FILTER cases INCLUDE REGEX "_test\\.cpp$")
  list(LENGTH cases count)
  math(EXPR groups "(${count} + 5) / 6")
  set(index 0)
  foreach(source ${cases})
    math(EXPR group "${index} * ${groups} / ${count}")
    set_source_files_properties(${source} PROPERTIES UNITY_GROUP ${target}_${group})
    math(EXPR index "${index} + 1")
  endforeach()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
endfunction()
