// mediasoup-worker speaks the API of libsrtp 3, which no distribution ships yet. This header, found before the
// library's own, offers the part of that API the worker uses on top of libsrtp 2.
//
// Two things differ. In 3 a policy is an opaque object filled by setters; in 2 it is a plain struct that borrows the
// key's memory. And in 3 protect/unprotect read from one buffer and write to another, whose size they are told; in 2
// they work in place and trust the caller about room.
#pragma once

#include <srtp2/srtp.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

// Codes that only libsrtp 3 has. The worker names them in its table of error texts.
constexpr auto srtp_err_status_buffer_small = static_cast<srtp_err_status_t>(28);
constexpr auto srtp_err_status_cryptex_err  = static_cast<srtp_err_status_t>(29);

namespace callgate_srtp
{
	struct Policy
	{
		::srtp_policy_t v2{};
		// libsrtp 2 keeps no copy of the key in the policy, only this pointer to it: it must live as long.
		unsigned char keyAndSalt[SRTP_MAX_KEY_LEN]{};
	};

	using InPlace = srtp_err_status_t (*)(srtp_t, void*, int*);

	// Runs an in-place function of libsrtp 2 as libsrtp 3 would: from `in` to `out`, never past `*outLen`.
	// `growth` is the most that the function may add to the packet.
	inline srtp_err_status_t Run(
	  InPlace function, srtp_t session, const uint8_t* in, size_t inLen, uint8_t* out, size_t* outLen, size_t growth)
	{
		if (*outLen < inLen + growth)
		{
			return srtp_err_status_buffer_small;
		}

		if (in != out)
		{
			std::memmove(out, in, inLen);
		}

		auto len         = static_cast<int>(inLen);
		const auto error = function(session, out, &len);

		if (error == srtp_err_status_ok)
		{
			*outLen = static_cast<size_t>(len);
		}

		return error;
	}
} // namespace callgate_srtp

inline srtp_err_status_t srtp_policy_create(callgate_srtp::Policy** policy)
{
	*policy = new (std::nothrow) callgate_srtp::Policy;

	return *policy ? srtp_err_status_ok : srtp_err_status_alloc_fail;
}

inline void srtp_policy_destroy(callgate_srtp::Policy* policy)
{
	delete policy;
}

inline srtp_err_status_t srtp_policy_set_ssrc(callgate_srtp::Policy* policy, srtp_ssrc_t ssrc)
{
	policy->v2.ssrc = ssrc;

	return srtp_err_status_ok;
}

inline srtp_err_status_t srtp_policy_set_profile(callgate_srtp::Policy* policy, srtp_profile_t profile)
{
	const auto error = srtp_crypto_policy_set_from_profile_for_rtp(&policy->v2.rtp, profile);

	return error ? error : srtp_crypto_policy_set_from_profile_for_rtcp(&policy->v2.rtcp, profile);
}

// libsrtp 2 wants key and salt in one piece. Keys with an MKI are never used by the worker, so none is accepted.
inline srtp_err_status_t srtp_policy_add_key(
  callgate_srtp::Policy* policy,
  const uint8_t* key,
  size_t keyLen,
  const uint8_t* salt,
  size_t saltLen,
  const uint8_t* /*mki*/,
  size_t mkiLen)
{
	if (mkiLen != 0 || keyLen + saltLen > sizeof(policy->keyAndSalt))
	{
		return srtp_err_status_bad_param;
	}

	std::memcpy(policy->keyAndSalt, key, keyLen);
	std::memcpy(policy->keyAndSalt + keyLen, salt, saltLen);
	policy->v2.key = policy->keyAndSalt;

	return srtp_err_status_ok;
}

inline srtp_err_status_t srtp_policy_set_allow_repeat_tx(callgate_srtp::Policy* policy, bool allow)
{
	policy->v2.allow_repeat_tx = allow ? 1 : 0;

	return srtp_err_status_ok;
}

inline srtp_err_status_t srtp_policy_set_window_size(callgate_srtp::Policy* policy, size_t size)
{
	policy->v2.window_size = size;

	return srtp_err_status_ok;
}

inline srtp_err_status_t srtp_create(srtp_t* session, callgate_srtp::Policy* policy)
{
	return ::srtp_create(session, &policy->v2);
}

inline srtp_err_status_t srtp_protect(
  srtp_t session, const uint8_t* rtp, size_t rtpLen, uint8_t* srtp, size_t* srtpLen, size_t /*mkiIndex*/)
{
	return callgate_srtp::Run(::srtp_protect, session, rtp, rtpLen, srtp, srtpLen, SRTP_MAX_TRAILER_LEN);
}

inline srtp_err_status_t srtp_unprotect(
  srtp_t session, const uint8_t* srtp, size_t srtpLen, uint8_t* rtp, size_t* rtpLen)
{
	return callgate_srtp::Run(::srtp_unprotect, session, srtp, srtpLen, rtp, rtpLen, 0);
}

// SRTCP also carries the encryption flag and its index behind the packet (RFC 3711 section 3.4); like libsrtp's own
// documentation, SRTP_MAX_TRAILER_LEN leaves those 4 bytes to the slack of the MKI, which is never used here.
inline srtp_err_status_t srtp_protect_rtcp(
  srtp_t session, const uint8_t* rtcp, size_t rtcpLen, uint8_t* srtcp, size_t* srtcpLen, size_t /*mkiIndex*/)
{
	return callgate_srtp::Run(::srtp_protect_rtcp, session, rtcp, rtcpLen, srtcp, srtcpLen, SRTP_MAX_TRAILER_LEN);
}

inline srtp_err_status_t srtp_unprotect_rtcp(
  srtp_t session, const uint8_t* srtcp, size_t srtcpLen, uint8_t* rtcp, size_t* rtcpLen)
{
	return callgate_srtp::Run(::srtp_unprotect_rtcp, session, srtcp, srtcpLen, rtcp, rtcpLen, 0);
}

inline srtp_err_status_t srtp_stream_remove(srtp_t session, uint32_t ssrc)
{
	return ::srtp_remove_stream(session, ssrc);
}

// Last, so that everything above still means libsrtp 2's own type: in 3 the name stands for a pointer.
#define srtp_policy_t callgate_srtp::Policy*
