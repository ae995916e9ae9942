// mediasoup-worker keeps its tables in ankerl::unordered_dense, which Debian 12 does not package. Abseil's flat hash
// tables have the same interface and are at hand, because the worker's bandwidth estimation needs Abseil anyway.
//
// One member differs: Abseil's erase(iterator) returns nothing, the worker's loops continue at what it returns.
// One promise is weaker: in Abseil an insertion may move what is stored, as it may in unordered_dense's vector, so code
// that is right there is right here.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/hash/hash.h>

#include <functional>
#include <type_traits>

namespace ankerl::unordered_dense
{
	template<class T>
	using hash = absl::Hash<T>;

	namespace callgate
	{
		template<class Table>
		class EraseReturnsNext : public Table
		{
		public:
			using Table::Table;
			using typename Table::const_iterator;
			using typename Table::iterator;

			iterator erase(iterator position)
			{
				// Taken before the erasure, which invalidates `position` alone.
				auto next = position;
				++next;
				Table::erase(position);

				return next;
			}

			template<class Key>
			    requires(!std::is_convertible_v<Key, iterator> && !std::is_convertible_v<Key, const_iterator>)
			size_t erase(const Key& key)
			{
				return Table::erase(key);
			}
		};
	} // namespace callgate

	template<class Key, class Value, class Hash = hash<Key>, class Equal = std::equal_to<Key>>
	using map = callgate::EraseReturnsNext<absl::flat_hash_map<Key, Value, Hash, Equal>>;

	template<class Key, class Hash = hash<Key>, class Equal = std::equal_to<Key>>
	using set = callgate::EraseReturnsNext<absl::flat_hash_set<Key, Hash, Equal>>;
} // namespace ankerl::unordered_dense
