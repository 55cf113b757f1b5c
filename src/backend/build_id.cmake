# cmake -DHEADERS=A;B;... -DOUT=FILE -P build_id.cmake: FILE defines PLUGIN_BUILD, a hash of these files, of their bytes alone.
# It is not touched where that is what it says already.
cmake_minimum_required(VERSION 3.25)
set(all "")
foreach(header ${HEADERS})
    file(SHA256 ${header} hash)
    string(APPEND all ${hash})
endforeach()
string(SHA256 all "${all}")
string(SUBSTRING ${all} 0 16 id)
file(CONFIGURE OUTPUT ${OUT} CONTENT "#define PLUGIN_BUILD \"@id@\"\n" @ONLY)
