// Precompiled, and included before every source. Nearly each source of the worker reaches the same 180,000 lines of
// generated messages, Abseil and standard headers; read once, they cost a third of the build's time instead of most.
//
// Only headers belong here that say the same wherever they are included, so not Logger.hpp, which wants MS_CLASS first.

#include "common.hpp"
#include "Channel/ChannelSocket.hpp"
#include "Settings.hpp"
#include "Utils.hpp"

#include <absl/container/inlined_vector.h>
#include <absl/types/optional.h>
#include <ankerl/unordered_dense.h>
#include <openssl/ssl.h>
#include <srtp.h>
#include <uv.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <deque>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>
